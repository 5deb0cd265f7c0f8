"""Make the model that comes with the package: simulate people, train, score, and save with a card that says how.

    python tools/make_shipped_model.py --work shipped        # goes on where it was stopped

About 20 GB of disk; training takes at most 45 minutes of one core. Everything is simulated, so the model shows that the
pipeline works from EMG to a moving hand; how well it reads a person is not known.
"""

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from emgpose.atomic import write_text_atomically
from emgpose.checkpoints import load_model, save_model

TARGET = Path(__file__).parents[1] / "src" / "emgpose" / "assets" / "emgpose50_simulated"
EMGPOSE = Path(sys.executable).with_name("emgpose")
MAX_CPU_MINUTES = 45
MAX_BYTES = 8_000_000
# Many people for a short time teach more than few for long; 6 of 8 stages are trained on.
SIMULATION = ["--users", "200", "--stages", "8", "--minutes", "0.15", "--placements", "1", "--repeats", "2"]
SIMULATION += ["--seed", "50"]
TRAINING = [
    *("experiment=emgpose50", "model.channels=64", "model.hidden_size=128", "model.head_sizes=[128]"),
    *("model.update=position", "model.scale=1", "loss.tracking_share=0.5"),
    *("data.window_samples=5470", "data.batch_size=64", "data.in_memory_gib=6"),
    *(
        "loop.max_epochs=24",
        "loop.val_every_epochs=2",
        "optim.lr=2e-3",
        "optim.warmup_epochs=1",
        "optim.ema_decay=0.99",
    ),
    *("loop.threads=1", "loop.accelerator=cpu", "loop.logger=none", "resume=true"),
]
CONDITIONS = {"seen": "seen", "user": "U", "stage": "S", "user_stage": "US"}
STATIC_HANDS = {"tracking": "initial pose held", "regression": "median hand"}


def emgpose(*arguments: str) -> None:
    """Run a command of emgpose with one thread, and stop where it fails."""
    print("$ emgpose", *arguments, flush=True)
    subprocess.run([str(EMGPOSE), *arguments], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


def train(data: Path, run: Path) -> float:
    """Train, and give the CPU minutes that it took, earlier parts of a stopped run included."""
    record = run.with_name("cpu_seconds.json")
    before_s = json.loads(record.read_text()) if record.exists() else 0.0
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        emgpose("train", *TRAINING, f"data.root={data}", f"out={run}")
    finally:
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent_s = before_s + end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime
        write_text_atomically(record, json.dumps(spent_s))
    return float(spent_s / 60)


def score(data: Path, checkpoint: Path, folder: Path) -> str:
    """Evaluate both tasks; gives a Markdown table [deg]."""
    import pandas as pd

    rows = ["| mean joint-angle error [deg] | " + " | ".join(CONDITIONS.values()) + " |", "|---|---|---|---|---|"]
    for task, static_hand in STATIC_HANDS.items():
        out = folder / task
        emgpose(
            *("evaluate", "--data", str(data), "--checkpoint", str(checkpoint), "--mode", "stream", "--task", task),
            *("--out", str(out)),
        )
        windows: Any = pd.read_csv(out / "windows.csv")
        means = windows.groupby(["condition", "user"])[["mae", "static_mae"]].mean().groupby("condition").mean()
        for name, column in ((f"{task}, this model", "mae"), (f"{task}, {static_hand}", "static_mae")):
            cells = [f"{np.degrees(means.loc[condition, column]):.1f}" for condition in CONDITIONS]
            rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def notes(cpu_minutes: float, rows: str) -> str:
    """Say how the model was made and how it scores."""
    return f"""Trained on simulated EMG only: it shows the way from EMG to a moving hand, and says nothing about how
well a person's hand can be read. Train your own on recorded data for that (docs/training.md).

Its output is a pose, not a change of one. So the pose that tracking starts from moves the first poses by a degree or
two and is soon forgotten, and tracking scores like regression.

Made by `python tools/make_shipped_model.py`, which simulates 200 people and 8 stages
(`emgpose simulate {" ".join(SIMULATION)}`) and trains for {cpu_minutes:.0f} CPU minutes
(`emgpose train {" ".join(TRAINING)}`).

Scores on the simulated test split, mode `stream`, mean over users; U: people, S: stages, US: both not trained on. The
hand that does not move stands beside.

{rows}"""


def main() -> None:
    """Make, score and save the model; fails where it is too large or took too long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for data and run")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--target", type=Path, default=TARGET)
    options = parser.parse_args()
    data, run = options.work / "data", options.work / "run"
    emgpose("simulate", "--out", str(data), *SIMULATION, "--workers", str(options.workers))
    cpu_minutes = train(data, run)
    print(f"training took {cpu_minutes:.1f} CPU minutes")
    if cpu_minutes > MAX_CPU_MINUTES:
        raise SystemExit(f"training took {cpu_minutes:.1f} CPU minutes, more than {MAX_CPU_MINUTES}")
    rows = score(data, run / "best", options.work / "scores")
    print(rows)
    model = load_model(run / "best")
    model.card = dataclasses.replace(model.card, licence="Apache-2.0", notes=notes(cpu_minutes, rows))
    # Weighed before it takes the place of the model that is there.
    n_bytes = sum(file.stat().st_size for file in save_model(model, options.work / "made").iterdir())
    if n_bytes > MAX_BYTES:
        raise SystemExit(f"the model has {n_bytes} bytes, more than {MAX_BYTES}")
    save_model(model, options.target)
    print(f"{options.target.name}: {model.n_parameters:,} parameters, {n_bytes / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
