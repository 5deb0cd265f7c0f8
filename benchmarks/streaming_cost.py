"""What streaming costs: the error of one set of weights in mode published, and live with hold or linear between frames.

    python benchmarks/streaming_cost.py CHECKPOINT --data ROOT [--where QUERY] [--task TASK]

Published featurizers give a frame every 40 ms and poses come every 20: `hold` uses the newest frame at once, `linear`
waits for the next one and uses the mean of both, so that poses come up to 40 ms late (docs/decisions/002). Errors are
the mean over windows of a user, then over users; published looks up to 30 ms ahead, the others do not.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from emgpose.checkpoints import load_model
from emgpose.evaluation import evaluate
from emgpose.models import build_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--where")
    parser.add_argument("--task")
    options = parser.parse_args()
    model = load_model(options.checkpoint)
    if model.config.kind != "pose" or model.config.alignment != "published":
        raise SystemExit(f"{model.name} has one grid for training and streaming, so streaming costs nothing")
    rows: dict[str, dict[str, float]] = {}
    for between in ("hold", "linear"):
        live = build_model(dataclasses.replace(model.config, between=between)).eval()
        live.load_state_dict(model.state_dict())
        live.card = model.card
        modes = ["published", "stream"] if between == "hold" else ["stream"]
        found = evaluate(live, options.data, modes=modes, where=options.where, task=options.task)
        for mode in modes:
            windows = found.windows[found.windows["mode"] == mode]
            means = windows.groupby(["condition", "user"])["mae"].mean().groupby("condition").mean()
            rows["published" if mode == "published" else f"stream, {between}"] = dict(np.degrees(means))
    conditions = list(rows["published"])
    print(f"{model.name}, trained on: {model.card.trained_on}; mean joint-angle error [deg] (against published)")
    print(f"\n| | {' | '.join(conditions)} |\n|---|{'---|' * len(conditions)}")
    for name, errors in rows.items():
        cells = [f"{errors[key]:.2f} ({errors[key] / rows['published'][key] - 1:+.1%})" for key in conditions]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
