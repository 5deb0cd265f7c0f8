"""A data set as other programs write one: ranges from the data, marks in the events only, four keys in the sidecar."""

import csv
import datetime
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from emgpose.recording import open_session, read_metadata, session_path

edfio = pytest.importorskip("edfio")

RATE_HZ = 2000
N_SAMPLES = 7300
STEM = "2022-12-06-1670313600-e3096-cv-emg-pose-train@2-recording-1_left"
BAD = ((0, 120), (3000, 4100))


@pytest.fixture(scope="module")
def truth() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    emg = rng.standard_normal((N_SAMPLES, 16)) * rng.uniform(1, 60, 16)
    angles = np.cumsum(rng.standard_normal((N_SAMPLES, 20)), axis=0) * 1e-3 + rng.uniform(0.2, 0.6, 20)
    valid = np.ones(N_SAMPLES, dtype=bool)
    for start, stop in BAD:
        valid[start:stop] = False
    angles[~valid] = 0
    return emg.astype(np.float32), angles.astype(np.float32), valid


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, truth: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Path:
    root = tmp_path_factory.mktemp("published")
    folder = root / "sub-007" / "ses-001" / "emg"
    folder.mkdir(parents=True)
    emg, angles, _ = truth
    # The BDF says microvolts of everything; the last record is filled with zeros.
    padding = np.zeros((-N_SAMPLES % RATE_HZ, 1))
    signals = [
        edfio.BdfSignal(
            np.concatenate([column * factor, padding[:, 0]]),
            RATE_HZ,
            label=f"{name}{number}",
            physical_dimension="uV",
            digital_range=(-8_388_608, 8_388_607),
            physical_range=(float(np.floor(column.min() * factor)) - 1, float(np.ceil(column.max() * factor)) + 3),
        )
        for name, values, factor in (("emg", emg, 1.0), ("joint", angles, 1e6))
        for number, column in enumerate(values.T.astype(np.float64))
    ]
    stem = "sub-007_ses-001_task-emg2pose_run-03_recording-left"
    # Joints first, which nothing forbids.
    recording = edfio.Recording(startdate=datetime.date(2022, 12, 6))
    edfio.Bdf([*signals[16:], *signals[:16]], recording=recording, data_record_duration=1).write(
        folder / f"{stem}_emg.bdf"
    )
    sidecar = {"Stage": "ShakaVulcanPeace", "HandSide": "left", "SourceFile": f"{STEM}.hdf5", "ValidSamples": N_SAMPLES}
    (folder / f"{stem}_emg.json").write_text(json.dumps(sidecar))
    lines = [f"{a / RATE_HZ}\t{(b - a) / RATE_HZ}\tBAD_IK\t1\t{a}\n" for a, b in BAD]
    (folder / f"{stem}_events.tsv").write_text("".join(["onset\tduration\ttrial_type\tvalue\tsample\n", *lines]))
    (root / "dataset_description.json").write_text('{"Name": "emg2pose", "BIDSVersion": "1.10.1"}')
    (root / "sourcedata").mkdir()
    row = {"": "0", "filename": STEM, "session": STEM.partition("-recording")[0], "user": "c4d0e9", "side": "left"}
    row |= {"stage": "ShakaVulcanPeace", "split": "test", "generalization": "stage", "start": "1670313600.25"}
    with (root / "sourcedata" / "emg2pose_metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        writer.writeheader()
        writer.writerow(row)
    return root


def test_samples_labels_and_facts_are_those_of_the_hdf5_edition(
    root: Path, truth: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    emg, angles, valid = truth
    row = read_metadata(root).iloc[0]
    assert (row["split"], row["generalization"]) == ("test", "stage")
    with open_session(session_path(root, row)) as session:
        piece = session.read()
        facts = session.facts
    assert (facts.user, facts.session) == ("c4d0e9", "2022-12-06-1670313600-e3096-cv-emg-pose-train@2")
    assert (facts.stage, facts.side, facts.n_samples, facts.start_s) == (
        "ShakaVulcanPeace", "left", N_SAMPLES, 1670313600.25
    )  # fmt: skip
    assert facts.notes == ()
    np.testing.assert_allclose(piece.emg, emg, atol=np.abs(emg).max() * 2.0**-22)
    np.testing.assert_allclose(piece.joint_angles[valid], angles[valid], atol=3e-7)
    np.testing.assert_array_equal(piece.valid, valid)


def test_uneven_ranges_give_the_numbers_of_edfio(root: Path) -> None:
    path = session_path(root, read_metadata(root).iloc[0])
    with open_session(path) as session:
        piece = session.read()
    signals = np.stack([signal.data[:N_SAMPLES] for signal in edfio.read_bdf(path).signals], axis=1)
    np.testing.assert_array_equal(piece.emg, signals[:, 20:].astype(np.float32))
    # Next to zero the rounding of the offset shows.
    np.testing.assert_allclose(piece.joint_angles, signals[:, :20] * 1e-6, rtol=1.2e-7, atol=1e-15)


def test_zeros_of_an_uneven_range_are_no_labels_even_without_events(
    root: Path, truth: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    path = session_path(root, read_metadata(root).iloc[0])
    events = path.with_name(path.name.replace("_emg.bdf", "_events.tsv"))
    text = events.read_text()
    events.unlink()
    try:
        with open_session(path) as session:
            np.testing.assert_array_equal(session.valid(), truth[2])
    finally:
        events.write_text(text)


def with_signals_before(path: Path, contents: list[tuple[str, list[bytes]]]) -> None:
    """Put signals of 15 samples a record before those of a file: label, and the bytes of each record."""
    whole = path.read_bytes()
    n_signals, n_records = int(whole[252:256]), int(whole[236:244])
    head, at = b"", 256
    for name, width in (
        *(("label", 16), ("transducer", 80), ("unit", 8), ("-1", 8), ("1", 8), ("-8388608", 8), ("8388607", 8)),
        *(("filter", 80), ("15", 8), ("reserved", 32)),
    ):
        for label, _ in contents:
            text = {"label": label}.get(name, name if name.lstrip("-").isdigit() else "")
            head += text.encode().ljust(width)
        head += whole[at : at + width * n_signals]
        at += width * n_signals
    size = (len(whole) - at) // n_records
    records = (
        b"".join(content[record].ljust(45, b"\0") for _, content in contents)
        + whole[at + record * size : at + (record + 1) * size]
        for record in range(n_records)
    )
    n_signals += len(contents)
    start = (
        whole[:184] + f"{256 * (n_signals + 1):<8}{'BDF+C':<44}".encode() + whole[236:252] + f"{n_signals:<4}".encode()
    )
    path.write_bytes(start + head + b"".join(records))


def test_other_signals_of_other_rates_and_annotations_anywhere_move_nothing(root: Path, tmp_path: Path) -> None:
    source = session_path(root, read_metadata(root).iloc[0])
    with open_session(source) as session:
        before = session.read()
    path = tmp_path / source.name
    for name in (source.name, source.name.replace("_emg.bdf", "_emg.json")):
        shutil.copy(source.with_name(name), tmp_path / name)
    # The clock of this file begins at a quarter of a second; only its first annotations tell the time of a record.
    times = [b"+%d.25\x14\x14\0" % second for second in range(4)]
    marks = [b"", b"+1.75\x150.0625\x14other\x14BAD_IK\x14\0", b"", b""]
    with_signals_before(path, [("trigger", [b"\x7f" * 45] * 4), ("BDF Annotations", times), ("BDF Annotations", marks)])
    with open_session(path) as session:
        after = session.read()
        part = session.read(2998, 3130)
    np.testing.assert_array_equal(after.emg, before.emg)
    np.testing.assert_array_equal(after.joint_angles, before.joint_angles)
    expected = before.valid.copy()
    expected[3000:3125] = False
    np.testing.assert_array_equal(after.valid, expected)
    np.testing.assert_array_equal(part.valid, expected[2998:3130])
    np.testing.assert_array_equal(part.emg, before.emg[2998:3130])
