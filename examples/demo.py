"""What `make demo` runs: simulated people, two small models that learn from them, scores, a report, and a verdict.

Each step is one or two commands of `emgpose`, printed as you could type them; what they say goes to `demo/logs`. The
models are scored on people (U), movements (S) and both (US) that they were not trained on, beside a hand that does not
move; whether they beat it by enough is checked at the end (`demo_checks.py`). What is done is not done again, so a demo
that was stopped goes on. Everything is simulated: the scores say that emgpose works, not how well it reads you.
"""

import csv
import io
import json
import shutil
import signal
import sys
import textwrap
import time
from pathlib import Path

from demo_checks import GOALS, judge, score_table
from demo_steps import run_step

from emgpose.checkpoints import checkpoint_fingerprint
from emgpose.errors import EmgPoseError
from emgpose.evaluation.report import read_runs

FOLDER = Path("demo")
DATA = FOLDER / "data"
LOGS = FOLDER / "logs"
REPORT = FOLDER / "report"

# Simulated people differ so much that many of them for a short time teach more than few for long. One in ten is held
# out for the test, and of the three stages (movements) one.
USERS, STAGES, REPEATS, SECONDS = 100, 3, 2, 9
N_RECORDINGS = USERS * STAGES * REPEATS * 2  # both hands
N_BYTES = N_RECORDINGS * 3_200_000

EPOCHS = 16
# Small enough to learn in minutes on one core; windows with 2 s to score, after the model's context of 0.7 s. The
# output is the pose itself, which learns sooner here than changes of it do (docs/results.md).
TRAINING = [
    *("experiment=emgpose50", "model.channels=64", "model.hidden_size=128", "model.head_sizes=[128]"),
    *("model.update=position", "model.scale=1"),
    *("data.window_samples=5470", "data.batch_size=64", f"loop.max_epochs={EPOCHS}", "loop.val_every_epochs=2"),
    *("optim.lr=2e-3", "optim.schedule=constant", "optim.ema_decay=0.95"),
    *("loop.threads=1", "loop.accelerator=cpu", "loop.logger=none", "resume=true"),
]
# For machines so slow that the whole would take more than ten minutes.
TRAINING_MINUTES = 4
# Tracking starts from a known pose, regression from one that it learns.
TASKS = {
    "tracking": ["model.task=tracking", "model.learned_initial_pose=false"],
    "regression": ["model.task=regression"],
}


def main() -> int:
    """Run what is not done yet; 0 if the models did what is asked of them, 1 if not."""
    started_s = time.monotonic()
    LOGS.mkdir(parents=True, exist_ok=True)
    simulate()
    train()
    evaluate()
    command = ["report", *(str(FOLDER / task) for task in TASKS), "--out", str(REPORT)]
    run_step("4/4 Write the report", {"report": command}, LOGS, lambda: "drawing")
    n_missed = show_results()
    minutes, seconds = divmod(round(time.monotonic() - started_s), 60)
    print(f"\nReport: {REPORT / 'report.html'} (open it in a browser)")
    print(f"Took {minutes} min {seconds} s. The folder {FOLDER} holds {N_BYTES / 1e9:.1f} GB; remove it when you like.")
    if n_missed:
        print(f"\nThe demo FAILED: {n_missed} of {len(GOALS)} goals missed.")
    return 1 if n_missed else 0


def simulate() -> None:
    """Make people, their movements and their EMG."""
    n_there = count_recordings()
    n_missing_bytes = N_BYTES * (1 - n_there / N_RECORDINGS)
    n_free = shutil.disk_usage(FOLDER).free
    if n_free < n_missing_bytes:
        raise SystemExit(
            f"{FOLDER.resolve()}: the demo still needs {n_missing_bytes / 1e9:.1f} GB of disk, {n_free / 1e9:.1f} GB "
            "are free; make room and start it again"
        )
    command = ["simulate", "--out", str(DATA), "--users", str(USERS), "--stages", str(STAGES)]
    command += ["--minutes", f"{SECONDS / 60:g}", "--placements", "1", "--repeats", str(REPEATS), "--workers", "2"]
    what = f"1/4 Simulate {USERS} people, {STAGES} stages, {N_RECORDINGS} recordings of {SECONDS} s"
    run_step(what, {"simulate": command}, LOGS, lambda: f"{count_recordings()} of {N_RECORDINGS} recordings")


def count_recordings() -> int:
    """Count what has been simulated so far."""
    return sum(1 for _ in DATA.glob("*.hdf5"))


def train() -> None:
    """Train both models at the same time, with one core each."""
    commands = {
        f"train_{task}": [
            *("train", f"data.root={DATA}", f"out={FOLDER / task}", *TRAINING, *settings),
            f"loop.max_minutes={TRAINING_MINUTES}",
        ]
        for task, settings in TASKS.items()
    }
    what = "2/4 Train a model for tracking and one for regression"
    run_step(what, commands, LOGS, lambda: "; ".join(map(learnt, TASKS)))


def learnt(task: str) -> str:
    """Say how far a training is, by its learning curve."""
    try:
        with (FOLDER / task / "metrics.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        return f"{task}: epoch 0 of {EPOCHS}"
    errors = [row[f"val_{task}_mae_deg"] for row in rows if row[f"val_{task}_mae_deg"]]
    error = f", error {float(errors[-1]):.1f} deg on validation" if errors else ""
    return f"{task}: epoch {rows[-1]['epoch'] if rows else 0} of {EPOCHS}{error}"


def evaluate() -> None:
    """Score both models by the test protocol, unless these very weights have their scores."""
    options = ["--data", str(DATA), "--mode", "stream"]
    commands = {
        f"evaluate_{task}": [
            *("evaluate", *options, "--checkpoint", str(FOLDER / task / "best")),
            *("--out", str(FOLDER / task / "evaluate")),
        ]
        for task in TASKS
        if not is_scored(FOLDER / task)
    }
    what = "3/4 Score both on people and movements that they know, and on others"
    run_step(what, commands, LOGS, lambda: "scoring")


def is_scored(folder: Path) -> bool:
    """Tell whether the scores in a train folder are those of its best model; run.json is written last."""
    try:
        document = json.loads((folder / "evaluate" / "run.json").read_text(encoding="utf-8"))
        return bool(document["checkpoint"]["sha256"] == checkpoint_fingerprint(folder / "best"))
    except (OSError, ValueError, KeyError):
        return False


def show_results() -> int:
    """Print the scores and the verdict on each goal; gives the number of goals missed."""
    runs = read_runs([FOLDER / task for task in TASKS])
    scored = {run.task: run for run in runs.evaluations}
    trained = {run.folder.name: run.document["data"]["subset"]["users"] for run in runs.trainings}
    rows = score_table({task: scored[task].primary_windows() for task in TASKS})
    print("\nScores on simulated data, mean over users; U: people, S: movements, US: both unknown to the model\n")
    for row in rows:
        print(f"  {row[0]:30}" + "".join(f"{cell:>8}" for cell in row[1:]))
    print()
    verdicts = []
    for goal in GOALS:
        one = scored[goal.task]
        label = one.document["static_hand"]["label"]
        verdicts.append(judge(goal, one.primary_windows(), label, trained[goal.task]))
        print(textwrap.indent(str(verdicts[-1]), "  "))
    return sum(not verdict.is_met for verdict in verdicts)


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except EmgPoseError as error:
        sys.exit(f"\nThe demo FAILED: {error}")
    except KeyboardInterrupt:
        print(f"\nStopped; start it again to go on, or remove {FOLDER} to begin afresh.", file=sys.stderr)
        sys.exit(130)
