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
import json
import math
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import joblib

from emgpose.atomic import write_text_atomically

USERS, STAGES, MINUTES, DATA_SEED = 80, 3, 0.2, 3
VELOCITY_SHARES = (0.0, 0.4, 1.6)
SMALL = (
    "model.channels=32", "model.tds_channels=8", "model.tds_pairs=1", "model.n_features=32",
)  # fmt: skip
SMALL_LSTM = ("model.hidden_size=96",)
TRAINING = (
    "data.window_samples=5790", "data.batch_size=32", "optim.lr=2e-3", "loop.logger=none", "loop.threads=1",
    "loop.accelerator=cpu", "loop.val_every_epochs=1000", "loop.max_epochs=1000",
)  # fmt: skip
# 95 % quantiles of Student's t for 1 and 2 degrees of freedom.
T_95 = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776}
CONDITIONS = ("seen", "user", "stage", "user_stage")


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
    overrides = (*SMALL_LSTM, "model.head_sizes=[96]", f"model.scale={scale}", "optim.warmup_epochs=2")
    return Recipe(f"LSTM {update}, {task}, x {scale}", f"improved_{update}_{task}", overrides, tasks)


RECIPES = (
    Recipe("published vemg2pose", "tracking_vemg2pose", SMALL_LSTM, ("tracking",)),
    Recipe("published emg2pose (MLP position)", "tracking_emg2pose", ("model.layer_sizes=[96,96]",), ("tracking",)),
    improved("velocity", "tracking", "0.01"),
    improved("position", "tracking", "0.01"),
    improved("position", "tracking", "0.1"),
    Recipe("published vemg2pose", "regression_vemg2pose", SMALL_LSTM, ("regression",)),
    Recipe("published emg2pose (MLP position)", "regression_emg2pose", ("model.layer_sizes=[96,96]",), ("regression",)),
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


def run(recipe: Recipe, seed: int, data: Path, out: Path, steps: int) -> None:
    """Train one recipe with one seed and score it; nothing to do if its scores are there."""
    import torch

    from emgpose.checkpoints import load_model
    from emgpose.evaluation import evaluate
    from emgpose.experiments import compose_config
    from emgpose.training import train

    folder = out / data.name / f"{recipe.key}_seed{seed}"
    scores_file = folder / "scores.json"
    if scores_file.exists():
        return
    torch.set_num_threads(1)
    resume = (folder / "run.json").exists()
    options = (*SMALL, *TRAINING, *recipe.overrides, f"data.root={data}", f"seed={seed}", f"loop.max_steps={steps}")
    started = time.monotonic()
    config = compose_config(recipe.experiment, *options, f"out={folder}", f"resume={str(resume).lower()}")
    result = train(config, folder)
    scores = {"seconds": time.monotonic() - started}
    for task in recipe.tasks:
        model = load_model(result.last)
        # One recording in four of the conditions that all train users have keeps the four conditions alike in size.
        found = evaluate(model, data, modes=["published"], task=task, where="repeat == 1 and side == 'right'")
        scores[task] = {}
        for condition in CONDITIONS:
            windows = found.windows[found.windows["condition"] == condition]
            means = windows.groupby("user")[["mae", "static_mae", "velocity"]].mean().mean()
            scores[task][condition] = {name: math.degrees(value) for name, value in means.items()}
    write_text_atomically(scores_file, json.dumps(scores, indent=1))


def interval(values: list[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.2f}"
    half = T_95[len(values)] * statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.mean(values):.2f} +- {half:.2f}"


def print_table(title: str, rows: dict[str, list[dict]], task: str) -> None:
    print(f"\n{title}\n\n| recipe | {' | '.join(CONDITIONS)} | speed on user [deg/s] |\n|---|{'---|' * 5}")
    static: dict[str, list[float]] = {condition: [] for condition in CONDITIONS}
    for name, seeds in rows.items():
        cells = [interval([scores[task][condition]["mae"] for scores in seeds]) for condition in CONDITIONS]
        speed = statistics.mean(scores[task]["user"]["velocity"] for scores in seeds)
        for condition in CONDITIONS:
            static[condition] += [scores[task][condition]["static_mae"] for scores in seeds]
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

    def scores(recipe: Recipe, share: float) -> list[dict]:
        paths = (
            options.out / folders[share].name / f"{recipe.key}_seed{seed}" / "scores.json"
            for seed in range(options.seeds)
        )
        return [json.loads(path.read_text()) for path in paths]

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
