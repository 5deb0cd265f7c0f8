"""Recipes against each other on one simulated data set: velocity and position, output scalars, single and multi-task.

    python benchmarks/recipes.py --out recipes            # resumable; finished runs are not repeated

Simulates a data set, trains every recipe at small sizes with three seeds (one thread each, as many at once as there are
cores), scores all on the test split, and prints one table per task: mean absolute joint-angle error [deg], mean over
users, then mean and 95 % interval (Student's t) over seeds. Then velocity against position at three settings of the
simulator's velocity share.

Figures are about the simulator and not about physiology: how much a decoder of velocities gains follows from the
velocity share, which is a knob.
"""

import argparse
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib

from simulated_runs import CONDITIONS, SMALL_HEAD, SMALL_LSTM, SMALL_MLP, interval, read_scores, trained_and_scored

USERS, STAGES, MINUTES, DATA_SEED = 80, 3, 0.2, 3
VELOCITY_SHARES = (0.0, 0.4, 1.6)


@dataclass(frozen=True)
class Recipe:
    """A row of the table."""

    title: str
    experiment: str
    overrides: tuple[str, ...]
    tasks: tuple[str, ...]

    @property
    def key(self) -> str:
        """Name of its folders."""
        return "_".join((self.experiment, *(o.split("=")[1] for o in self.overrides if "scale" in o)))


def improved(update: str, task: str, scale: str) -> Recipe:
    tasks = ("tracking", "regression") if task == "multitask" else (task,)
    overrides = (*SMALL_LSTM, *SMALL_HEAD, f"model.scale={scale}", "optim.warmup_epochs=2")
    return Recipe(f"LSTM {update}, {task}, x {scale}", f"improved_{update}_{task}", overrides, tasks)


RECIPES = (
    Recipe("published vemg2pose", "tracking_vemg2pose", SMALL_LSTM, ("tracking",)),
    Recipe("published emg2pose (MLP position)", "tracking_emg2pose", SMALL_MLP, ("tracking",)),
    improved("velocity", "tracking", "0.01"),
    improved("position", "tracking", "0.01"),
    improved("position", "tracking", "0.1"),
    Recipe("published vemg2pose", "regression_vemg2pose", SMALL_LSTM, ("regression",)),
    Recipe("published emg2pose (MLP position)", "regression_emg2pose", SMALL_MLP, ("regression",)),
    improved("velocity", "regression", "0.01"),
    improved("position", "regression", "0.01"),
    improved("position", "regression", "1.0"),
    improved("velocity", "multitask", "0.01"),
    improved("position", "multitask", "0.1"),
)
OF_SHARES = tuple(
    recipe for recipe in RECIPES if recipe.experiment.startswith("improved") and len(recipe.tasks) == 1
    and (("velocity" in recipe.experiment) or not recipe.title.endswith("x 0.01"))
)  # fmt: skip


def simulated(out: Path, velocity_share: float, workers: int) -> Path:
    from emgpose.simulation.data_set import simulate_data_set

    folder = out / f"data_velocity_{velocity_share:g}"
    simulate_data_set(
        folder, users=USERS, stages=STAGES, minutes=MINUTES, placements=1, seed=DATA_SEED, workers=workers,
        velocity_share=velocity_share,
    )  # fmt: skip
    return folder


def folder_of(recipe: Recipe, seed: int, data: Path, out: Path) -> Path:
    return out / data.name / f"{recipe.key}_seed{seed}"


def run(recipe: Recipe, seed: int, data: Path, out: Path, steps: int) -> None:
    """Train one recipe with one seed and score it."""
    overrides = (*recipe.overrides, f"seed={seed}", f"loop.max_steps={steps}")
    trained_and_scored(recipe.experiment, folder_of(recipe, seed, data, out), data, recipe.tasks, overrides)


def print_table(title: str, rows: dict[str, list[dict[str, Any]]], task: str) -> None:
    print(f"\n{title}\n\n| recipe | {' | '.join(CONDITIONS)} | speed on user [deg/s] |\n|---|{'---|' * 5}")
    static: dict[str, list[float]] = {condition: [] for condition in CONDITIONS}
    for name, seeds in rows.items():
        cells = [interval([scores[task]["0"][condition]["mae"] for scores in seeds]) for condition in CONDITIONS]
        speed = statistics.mean(scores[task]["0"]["user"]["velocity"] for scores in seeds)
        for condition in CONDITIONS:
            static[condition] += [scores[task]["0"][condition]["static_mae"] for scores in seeds]
        print(f"| {name} | {' | '.join(cells)} | {speed:.0f} |")
    print(f"| static hand | {' | '.join(f'{statistics.mean(static[c]):.2f}' for c in CONDITIONS)} | 0 |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("recipes"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=220)
    parser.add_argument("--jobs", type=int, default=joblib.cpu_count(only_physical_cores=False))
    options = parser.parse_args()
    started = time.monotonic()
    plan = [(recipe, seed, 0.4) for recipe in RECIPES for seed in range(options.seeds)]
    plan += [
        (recipe, seed, share)
        for recipe in OF_SHARES for share in VELOCITY_SHARES for seed in range(options.seeds) if share != 0.4
    ]  # fmt: skip
    folders = {share: simulated(options.out, share, options.jobs) for share in VELOCITY_SHARES}
    print(f"data: {time.monotonic() - started:.0f} s", flush=True)
    joblib.Parallel(n_jobs=options.jobs, batch_size=1, verbose=5)(
        joblib.delayed(run)(recipe, seed, folders[share], options.out, options.steps) for recipe, seed, share in plan
    )

    def scores(recipe: Recipe, share: float) -> list[dict[str, Any]]:
        return [read_scores(folder_of(recipe, seed, folders[share], options.out)) for seed in range(options.seeds)]

    hours = USERS * STAGES * 2 * 2 * MINUTES / 60
    print(
        f"\nSimulated: {USERS} users, {STAGES} stages, {hours:.1f} h. Small models, {options.steps} steps of 32 "
        f"windows, {options.seeds} seeds.\nMean absolute joint-angle error [deg], mean and 95 % interval over seeds."
    )
    for task in ("tracking", "regression"):
        rows = {recipe.title: scores(recipe, 0.4) for recipe in RECIPES if task in recipe.tasks}
        print_table(f"{task}, velocity share 0.4", rows, task)
    for share in VELOCITY_SHARES:
        for task in ("tracking", "regression"):
            rows = {recipe.title: scores(recipe, share) for recipe in OF_SHARES if task in recipe.tasks}
            print_table(f"{task}, velocity share {share:g}", rows, task)
    trained = [score["seconds"] for recipe, _, share in plan for score in scores(recipe, share)]
    print(f"\ntraining: median {statistics.median(trained):.0f} s a run; all: {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
