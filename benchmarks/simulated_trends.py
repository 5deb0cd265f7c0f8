"""Does error behave as on the published data? Trends over held-out groups, training users, band rotation and methods.

    python benchmarks/simulated_trends.py --out trends            # resumable; finished runs are not repeated

Simulates a data set and trains small models with three seeds (one thread each, as many at once as there are cores):
a multi-task model on 3, 6, 12 and 24 training users, drawn anew with each seed, the last also scored with the band
turned by 1 to 3 electrodes either way. Unknown users are all that a run did not train on. Stages differ in how far
hands move, so which are held out would decide the comparison: each run is made twice, trained on one half of the stages
and on the other, and errors are the mean of both. Every stage is then seen once and held out once. Prints tables and
what each trend came to, with 95 % intervals (Student's t) over seeds; writes trends.png. Exits with 1 where a trend is
missing. How methods compare is what `recipes.py` shows.

Simulated: how people differ is our own choice (docs/decisions/008), so this shows that the benchmark means something,
and nothing about physiology.
"""

import argparse
import itertools
import re
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import joblib

from simulated_runs import (
    CONDITIONS,
    SMALL_HEAD,
    SMALL_LSTM,
    interval,
    read_scores,
    trained_and_scored,
)

USERS, STAGES, MINUTES, DATA_SEED = 80, 5, 0.15, 4
HALVES = (
    ("FingerWigglingSpreading", "IndexPinchesMiddlePinchesThumbswipes"),
    ("CountingUpDownFaceSideAway", "DoorknobFingerGraspFistGrab"),
)
USER_COUNTS = (3, 6, 12, 24)
FEW, MANY = USER_COUNTS[0], USER_COUNTS[-1]
TURNS = (0, 1, 2, 3)
BOTH_WAYS = (0, 1, -1, 2, -2, 3, -3)
TASKS = ("tracking", "regression")
CONSTANT_RATE = "optim.schedule=constant"
POSITION = ("model.update=position", "model.scale=1", "loss.tracking_share=0.5")
MULTITASK = (*SMALL_LSTM, *SMALL_HEAD, *POSITION, CONSTANT_RATE, "data.window_samples=5470")
# Many training users must be at least this much below few.
LEAST_GAIN = 0.10

# One list per seed, of one entry per half.
Scores = list[list[dict[str, Any]]]


Key = tuple[str, int, int]


def plan(seeds: int, steps: int) -> dict[Key, dict[str, Any]]:
    """List the runs: (name, seed, half) -> arguments of `trained_and_scored` but for the folders."""
    runs: dict[Key, dict[str, Any]] = {}
    for seed, half in itertools.product(range(seeds), range(len(HALVES))):
        common = (f"seed={seed}", f"loop.max_steps={steps}")
        for count in USER_COUNTS:
            runs[f"users_{count}", seed, half] = {
                "experiment": "emgpose50", "tasks": TASKS,
                "overrides": (*MULTITASK, f"data.num_users={count}", *common),
                "turns": BOTH_WAYS if count == MANY else (0,), "stages": HALVES[half],
            }  # fmt: skip
    return runs


def errors(scores: Scores, task: str, condition: str, turn: int = 0, figure: str = "mae") -> list[float]:
    """Give the error of each seed [deg]: the mean over both halves, and over both ways that a band can turn."""
    ways = {str(turn), str(-turn)}
    return [statistics.mean(half[task][way][condition][figure] for half in seed for way in ways) for seed in scores]


def print_row(title: str, scores: Scores, task: str, turn: int = 0, figure: str = "mae") -> None:
    conditions = ("user",) if turn else CONDITIONS
    cells = [interval(errors(scores, task, name, turn, figure)) if name in conditions else "" for name in CONDITIONS]
    print(f"| {title} | {' | '.join(cells)} |")


def print_tables(found: dict[str, Scores], task: str) -> None:
    print(f"\n{task}\n\n| | {' | '.join(CONDITIONS)} |\n|---|{'---|' * len(CONDITIONS)}")
    largest = found[f"users_{MANY}"]
    print_row("static hand", largest, task, figure="static_mae")
    for count in USER_COUNTS:
        print_row(f"emgpose50, {count} training users", found[f"users_{count}"], task)
    for turn in TURNS[1:]:
        print_row(f"emgpose50, {MANY}; band turned by {turn}", largest, task, turn)


def judge(found: dict[str, Scores], task: str) -> list[tuple[str, bool]]:
    """Check each trend on the mean over seeds."""
    largest = found[f"users_{MANY}"]
    seen, user, stage, both = (statistics.mean(errors(largest, task, condition)) for condition in CONDITIONS)
    few, many = (statistics.mean(errors(found[f"users_{count}"], task, "user")) for count in (FEW, MANY))
    turned = [statistics.mean(errors(largest, task, "user", turn)) for turn in TURNS]
    return [
        (f"seen {seen:.2f} < user {user:.2f} < user and stage {both:.2f}", seen < user < both),
        (f"seen {seen:.2f} < stage {stage:.2f}", seen < stage),
        (
            f"{MANY} training users {1 - many / few:.0%} below {FEW} ({many:.2f}, {few:.2f})",
            many <= (1 - LEAST_GAIN) * few,
        ),
        (f"turned by 0 to 3: {', '.join(f'{value:.2f}' for value in turned)}", turned == sorted(turned)),
    ]


def draw(found: dict[str, Scores], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), sharey=True)
    markers = dict(zip(TASKS, ("o-", "s--"), strict=True))
    for task, marker in markers.items():
        largest = found[f"users_{MANY}"]
        rows = (
            (CONDITIONS, [errors(largest, task, condition) for condition in CONDITIONS]),
            (
                [str(count) for count in USER_COUNTS],
                [errors(found[f"users_{count}"], task, "user") for count in USER_COUNTS],
            ),
            ([str(turn) for turn in TURNS], [errors(largest, task, "user", turn) for turn in TURNS]),
        )
        for axis, (names, values) in zip(axes, rows, strict=True):
            middle = [statistics.mean(value) for value in values]
            spread = [statistics.stdev(value) if len(value) > 1 else 0.0 for value in values]
            axis.errorbar(names, middle, spread, fmt=marker, capsize=3, label=task)
    for axis, label in zip(
        axes, ("condition", "training users (held-out users)", "band turned by [electrodes]"), strict=True
    ):
        axis.set_xlabel(label)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("mean joint-angle error [deg]")
    axes[0].legend()
    figure.suptitle("Simulated data; mean and SD over seeds")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("trends"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=joblib.cpu_count(only_physical_cores=False))
    options = parser.parse_args()
    started = time.monotonic()
    from emgpose.simulation.data_set import simulate_data_set

    data = options.out / "data"
    simulate_data_set(
        data, users=USERS, stages=STAGES, minutes=MINUTES, placements=1, seed=DATA_SEED, workers=options.jobs
    )
    print(f"data: {time.monotonic() - started:.0f} s", flush=True)
    runs = plan(options.seeds, options.steps)

    def folder(key: Key) -> Path:
        # Words alone: brackets mean something in an override.
        return options.out / f"{'_'.join(re.findall(r'[a-z0-9]+', key[0]))}_seed{key[1]}_half{key[2]}"

    joblib.Parallel(n_jobs=options.jobs, batch_size=1)(
        joblib.delayed(trained_and_scored)(folder=folder(key), data=data, **arguments)
        for key, arguments in runs.items()
    )
    found: dict[str, Scores] = {}
    for name, seed, half in runs:
        seeds = found.setdefault(name, [[] for _ in range(options.seeds)])
        seeds[seed].append(read_scores(folder((name, seed, half))))
    hours = USERS * STAGES * 2 * 2 * MINUTES / 60
    print(
        f"\nSimulated: {USERS} users, {STAGES} stages, {hours:.1f} h. Small models, {options.steps} steps of 32 "
        f"windows, {options.seeds} seeds, two halves of the stages.\n"
        "Mean absolute joint-angle error [deg], mean and 95 % interval over seeds."
    )
    for task in TASKS:
        print_tables(found, task)
    draw(found, options.out / "trends.png")
    missed = 0
    for task in TASKS:
        for sentence, holds in judge(found, task):
            print(f"{'holds ' if holds else 'MISSED'} {task}: {sentence}")
            missed += not holds
    print(f"wrote {options.out / 'trends.png'}; all: {time.monotonic() - started:.0f} s")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
