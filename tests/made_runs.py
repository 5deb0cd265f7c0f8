"""Folders as `emgpose evaluate --out` and a training write them, made by rule, for tests of reports."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emgpose.hand import FINGERS, JOINTS, JOINTS_OF_GROUP

USERS = tuple(f"user{i:02d}" for i in range(8))
PARTS = (*FINGERS, *JOINTS_OF_GROUP, *JOINTS)


def made_windows(
    users: tuple[str, ...] = USERS,
    conditions: tuple[str, ...] = ("user", "user_stage"),
    error_deg: float = 12.0,
    static_deg: float = 15.0,
) -> pd.DataFrame:
    """Two windows of each user in each condition; user i errs by `i` hundredths of a degree more than the first."""
    rows = [
        {
            "session": f"{user}-{condition}",
            "user": user,
            "stage": f"stage of {condition}",
            "side": "right",
            "split": "test",
            "condition": condition,
            "start_sample": 10_000 * k,
            "stop_sample": 10_000 * k + 11_000,
            "n_valid": 10_000,
            "mode": mode,
            "hand": "emgpose generic hand",
            "filename": f"{user}-{condition}_right",
            "placement_split": "test" if k else "train",
            "mae": np.radians(error_deg + 0.01 * number + (k - 0.5)),
            "static_mae": np.radians(static_deg),
            **{f"{prefix}{name}": 20.0 for prefix in ("", "static_") for name in DISTANCES},
            **dict.fromkeys(("velocity", "acceleration", "jerk"), 2.0),
            **{f"recorded_{name}": 4.0 for name in ("velocity", "acceleration", "jerk")},
        }
        for mode in ("published", "stream")
        for number, user in enumerate(users)
        for condition in conditions
        for k in range(2)
    ]
    return pd.DataFrame(rows)


DISTANCES = ("landmark_distance", "fingertip_distance")


def made_evaluation(folder: Path, windows: pd.DataFrame | None = None, **model: Any) -> Path:
    """Write a whole evaluation folder."""
    windows = made_windows() if windows is None else windows
    folder.mkdir(parents=True)
    conditions = [*dict.fromkeys(windows["condition"]), "all"]
    tables = {
        "windows": windows,
        "summary": made_summary(conditions),
        "drift": pd.DataFrame(
            [
                {
                    "condition": name,
                    "mode": "published",
                    "start_s": t,
                    "stop_s": t + 0.5,
                    "mae": 0.1 + t,
                    "static_mae": 0.3,
                }
                for name in conditions
                for t in (0.0, 0.5)
            ]
        ),
        "cdf": pd.DataFrame(
            [
                {
                    "condition": name,
                    "mode": "published",
                    "error_rad": x,
                    "share": 2 * x,
                    "static_share": x**0.5 / 2**-0.5,
                }
                for name in conditions
                for x in np.linspace(0, 0.5, 11)
            ]
        ),
        "examples": made_examples(windows),
    }
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    (folder / "run.json").write_text(json.dumps(made_document(model)))
    return folder


def made_summary(conditions: list[str]) -> pd.DataFrame:
    """Joint i errs by i degrees."""
    metrics = {f"mae_{part}": np.radians(i + 1.0) for i, part in enumerate(PARTS)}
    metrics |= {f"r2_{joint}": 0.5 for joint in JOINTS} | {"mae": 0.2, **dict.fromkeys(DISTANCES, 20.0)}
    rows = [
        {
            "condition": name,
            "metric": metric,
            "reduction": reduction,
            "mean": mean,
            "sd": 0.01,
            "n_users": 8,
            "n_windows": 16,
        }
        for name in conditions
        for metric, mean in metrics.items()
        for reduction in ("per_user", "pooled")
    ]
    return pd.DataFrame(rows)


def made_examples(windows: pd.DataFrame) -> pd.DataFrame:
    """Best, median and worst are the first three windows; only the recorded index finger bends, and more and more."""
    times_s = np.arange(250) / 50
    tables = []
    for name, (_, row) in zip(("best", "median", "worst"), windows.head(3).iterrows(), strict=True):
        poses = {f"{kind}_{joint}": np.zeros(250) for kind in ("predicted", "recorded") for joint in JOINTS}
        poses["recorded_INDEX_MCP_FE"] = times_s / 5
        ids = {"example": name, "filename": row["filename"], "start_sample": row["start_sample"]}
        tables.append(pd.DataFrame({**ids, "time_s": times_s, "valid": times_s < 4.5, **poses}))
    return pd.concat(tables, ignore_index=True)


def made_document(model: dict[str, Any]) -> dict[str, Any]:
    """Everything that a report reads of run.json."""
    return {
        "command": ["emgpose", "evaluate"],
        "seed": None,
        "versions": {"torch": "2.13.0"},
        "model": {
            "name": "tracking_vemg2pose",
            "task": "tracking",
            "n_parameters": 1234,
            "flops_per_window": 2_000_000_000,
            "sample_rate_hz": 2000,
            "left_context": 1000,
            "trained_on": "simulated",
            **model,
        },
        "modes": {"published": "not causal: looks up to 30 ms ahead", "stream": "causal"},
        "primary_mode": "published",
        "protocol": {"window_samples": 11_000},
        "hand": {"name": "emgpose generic hand", "is_umetrack": False},
        "static_hand": {"label": "static_initial_pose"},
        "data": {"simulated": True, "fingerprint": "f00d", "n_recordings": 16, "n_recordings_scored": 15},
        "three_questions": {"Is the split by user and stage?": "yes, by the metadata"},
        "left_out": [{"path": "x.hdf5", "reason": "x.hdf5: truncated"}],
        "without_window": [],
        "users_without_window": {"user": ["user99"]},
    }


def made_training(folder: Path) -> Path:
    """Write a train folder with a learning curve of ten epochs, validated at every other."""
    folder.mkdir(parents=True)
    rows = [
        {
            "step": 50 * e,
            "epoch": e,
            "train_loss": 1 / e,
            "val_loss": 2 / e if e % 2 == 0 else "",
            "val_tracking_mae_deg": 20 / e,
        }
        for e in range(1, 11)
    ]
    pd.DataFrame(rows).to_csv(folder / "metrics.csv", index=False)
    (folder / "run.json").write_text(json.dumps({"config": {"seed": 42}, "status": "finished", "versions": {}}))
    return folder
