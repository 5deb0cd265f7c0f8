"""Small recordings and data sets made by rule, for tests that need files and not realism."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from emgpose.hand import JOINTS, N_JOINTS
from emgpose.recording.emg2pose_writer import write_emg2pose_hdf5
from emgpose.signals import Bandpass, Preprocessor

N_CHANNELS = 16
STAGES = (
    "FingerWigglingSpreading",
    "CountingUpDownFaceSideAway",
    "ShakaVulcanPeace",
    "FingerFreeform",
    "PlayBlocksChess",
)


def generated_joint_angles(n_samples: int, rate_hz: float, rng: np.random.Generator) -> np.ndarray:
    """Slow, smooth movement of 20 joints, (time, joint) [rad], within what hands do."""
    t = np.arange(n_samples) / rate_hz
    flexes = np.array([name.endswith("_FE") for name in JOINTS])
    middle, swing = np.where(flexes, 0.5, 0.0), np.where(flexes, 0.45, 0.12)
    waves = sum(
        np.sin(2 * np.pi * rng.uniform(0.1, 1.2, N_JOINTS) * t[:, None] + rng.uniform(0, 2 * np.pi, N_JOINTS))
        for _ in range(3)
    )
    return (middle + swing * waves / 3).astype(np.float32)


def generated_emg(joint_angles: np.ndarray, rate_hz: float, rng: np.random.Generator, gain: float) -> np.ndarray:
    """Noise of SD 1 whose amplitude grows with joint velocity, each channel in its own way; (time, channel)."""
    velocity = np.abs(np.diff(joint_angles, axis=0, prepend=joint_angles[:1])) * rate_hz
    drive = velocity @ np.abs(rng.standard_normal((N_JOINTS, N_CHANNELS))) / N_JOINTS
    noise = rng.standard_normal((len(joint_angles), N_CHANNELS))
    if rate_hz > 1700:
        band = Preprocessor((Bandpass(),), rate_hz, N_CHANNELS).process(noise)
        noise = band / band.std()
    return (noise * (1 + gain * drive)).astype(np.float32)


def generated_valid(n_samples: int, invalid_share: float, rng: np.random.Generator) -> np.ndarray:
    """Two invalid spans near the ends, so that the middle stays long enough for a test window; (time,)."""
    valid = np.ones(n_samples, dtype=np.bool_)
    n_invalid = round(invalid_share * n_samples)
    first = n_invalid // 3
    start = int(rng.integers(0, 1 + n_samples // 100))
    stop = n_samples - int(rng.integers(0, 1 + n_samples // 100))
    valid[start : start + first] = False
    valid[stop - (n_invalid - first) : stop] = False
    return valid


def generate_session(
    path: Path,
    *,
    user: str = "user00",
    stage: str = STAGES[0],
    side: Literal["left", "right"] = "right",
    seconds: float = 9.0,
    seed: int = 0,
    rate_hz: float = 2000.0,
    session: str | None = None,
    invalid_share: float = 0.12,
    angles_dtype: Literal["f4", "f8"] = "f4",
    emg_gain: float = 40.0,
    nan_channel: int | None = None,
) -> None:
    """Write one emg2pose HDF5 recording."""
    rng = np.random.default_rng(seed)
    n_samples = round(seconds * rate_hz)
    joint_angles = generated_joint_angles(n_samples, rate_hz, rng)
    emg = generated_emg(joint_angles, rate_hz, rng, emg_gain)
    if nan_channel is not None:
        emg[:, nan_channel] = np.nan
    start_s = 1.7e9 + 1000.0 * seed
    jitter = rng.uniform(-1e-4, 1e-4, n_samples)
    write_emg2pose_hdf5(
        path,
        emg,
        joint_angles,
        sample_rate_hz=rate_hz,
        user=user,
        stage=stage,
        side=side,
        session=session,
        valid=generated_valid(n_samples, invalid_share, rng),
        time_s=start_s + np.arange(n_samples) / rate_hz + jitter,
        angles_dtype=angles_dtype,
    )


@dataclass(frozen=True)
class Broken:
    """File stems of a data set that `break_dataset` spoiled, by fault."""

    truncated: str
    nan_channel: str
    rate_200_hz: str
    missing: str


def generate_dataset(
    root: Path,
    *,
    n_train_users: int = 2,
    n_val_users: int = 1,
    n_test_users: int = 2,
    n_stages: int = 3,
    seconds: float = 9.0,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Write a data set with a metadata.csv: every user does every stage with both hands, the last stage is held out.

    By default 30 recordings: train 8; val user 4, user_stage 2; test user 8, stage 4, user_stage 4.

    Returns
    -------
    list of dict
        The rows of metadata.csv.
    """
    root.mkdir(parents=True, exist_ok=True)
    kinds = ["train"] * n_train_users + ["val"] * n_val_users + ["test"] * n_test_users
    rows: list[dict[str, Any]] = []
    for number, kind in enumerate(kinds):
        for stage in STAGES[:n_stages]:
            for side in ("left", "right"):
                rows.append(
                    _row(
                        f"user{number:02d}", kind, stage, stage == STAGES[n_stages - 1], side, seconds, seed + len(rows)
                    )
                )
    for position, row in enumerate(rows):
        generate_session(
            root / f"{row['filename']}.hdf5",
            user=row["user"],
            stage=row["stage"],
            side=row["side"],
            session=row["session"],
            seconds=seconds,
            seed=seed + position,
            angles_dtype="f8" if position % 2 else "f4",
        )
    _write_metadata(root, rows)
    return rows


def _row(
    user: str, kind: str, stage: str, held_out_stage: bool, side: str, seconds: float, seed: int
) -> dict[str, Any]:
    session = f"2024-01-01-{user}-{stage}"
    held_out_user = kind != "train"
    generalization = {
        (False, False): "",
        (True, False): "user",
        (False, True): "stage",
        (True, True): "user_stage",
    }[held_out_user, held_out_stage]
    start = 1.7e9 + 1000.0 * seed
    return {
        "filename": f"{session}-recording_{side}",
        "session": session,
        "user": user,
        "stage": stage,
        "side": side,
        "moving_hand": "both",
        "held_out_user": held_out_user,
        "held_out_stage": held_out_stage,
        "split": "test" if kind == "train" and held_out_stage else kind,
        "generalization": generalization,
        "start": start,
        "end": start + seconds,
    }


def _write_metadata(root: Path, rows: list[dict[str, Any]]) -> None:
    with (root / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def break_dataset(root: Path) -> Broken:
    """Spoil four test recordings of a generated data set: a truncated file, a NaN channel, 200 Hz, and a missing file.

    Three of them are of held-out users, the 200 Hz file is of a held-out stage; every condition keeps windows.
    """
    with (root / "metadata.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    of_user = [row for row in rows if row["generalization"] == "user"]
    of_stage = [row for row in rows if row["generalization"] == "stage"]
    truncated, nan_channel, missing, rate = of_user[0], of_user[1], of_user[-1], of_stage[0]
    whole = root / f"{truncated['filename']}.hdf5"
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    (root / f"{missing['filename']}.hdf5").unlink()
    for row, changes in ((nan_channel, {"nan_channel": 3}), (rate, {"rate_hz": 200.0})):
        path = root / f"{row['filename']}.hdf5"
        generate_session(
            path, user=row["user"], stage=row["stage"], side=row["side"], session=row["session"], **changes
        )
    return Broken(truncated["filename"], nan_channel["filename"], rate["filename"], missing["filename"])
