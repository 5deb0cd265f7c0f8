"""What every reader promises, whatever the file format."""

import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from emgpose.conversion.bids import BidsRecording, write_bids
from emgpose.errors import DataError, ShapeError
from emgpose.hand import JOINTS, N_JOINTS
from emgpose.preprocessing import Preprocessing, Resample
from emgpose.recording import FORMATS, Session, open_session, prepare_session, write_emg2pose_hdf5
from emgpose.recording.metadata import REQUIRED_COLUMNS
from emgpose.store import prepare_store
from made_xdf import write_xdf, xdf_header

RATE_HZ = 2000.0
N_SAMPLES = 500
N_CHANNELS = 16


@dataclass
class Truth:
    emg: np.ndarray
    joint_angles: np.ndarray
    valid: np.ndarray


def make_truth() -> Truth:
    rng = np.random.default_rng(7)
    # Multiples of 1/64, so that decimal and 16-bit formats hold them exactly.
    emg = rng.integers(-300, 300, (N_SAMPLES, N_CHANNELS)) / 64
    joint_angles = rng.integers(-64, 64, (N_SAMPLES, N_JOINTS)) / 64
    valid = np.ones(N_SAMPLES, dtype=bool)
    valid[:3] = valid[100:150] = valid[-1:] = False
    joint_angles[~valid] = 0
    return Truth(emg.astype(np.float32), joint_angles.astype(np.float32), valid)


TRUTH = make_truth()


def hdf5_with(angles_dtype: str) -> Callable[[Path], Session]:
    def make(folder: Path) -> Session:
        path = folder / "session.hdf5"
        write_emg2pose_hdf5(
            path,
            TRUTH.emg,
            TRUTH.joint_angles,
            sample_rate_hz=RATE_HZ,
            user="u",
            stage="s",
            side="left",
            angles_dtype=angles_dtype,
        )
        return open_session(path)

    return make


def bids(folder: Path) -> Session:
    row = {"filename": "session", "session": "session", "user": "u", "stage": "s", "side": "left", "split": "train"}
    written = write_bids(
        [BidsRecording(hdf5_with("f4")(folder), {**row, "generalization": ""})], folder / "bids"
    ).written
    return open_session(written[0])


def csv(folder: Path) -> Session:
    header = ["time_s", *(f"emg{channel}" for channel in range(N_CHANNELS)), *JOINTS]
    table = np.column_stack([np.arange(N_SAMPLES) / RATE_HZ, TRUTH.emg, TRUTH.joint_angles])
    np.savetxt(folder / "session.csv", table, delimiter=",", header=",".join(header), comments="", fmt="%.10g")
    return open_session(folder / "session.csv")


def npz(folder: Path) -> Session:
    np.savez_compressed(
        folder / "session.npz", emg=TRUTH.emg, joint_angles=TRUTH.joint_angles, sample_rate_hz=int(RATE_HZ)
    )
    return open_session(folder / "session.npz")


def npz_column_major(folder: Path) -> Session:
    np.savez(folder / "session.npz", emg=np.asfortranarray(TRUTH.emg), joint_angles=TRUTH.joint_angles.astype("f8"))
    return open_session(folder / "session.npz", rate_hz=RATE_HZ)


def wfdb_record(folder: Path) -> Session:
    counts = (TRUTH.emg * 64).astype("<i2")
    counts.tofile(folder / "record.dat")
    lines = [f"record {N_CHANNELS} {RATE_HZ:g} {N_SAMPLES}"]
    for channel, signal in enumerate(counts.T):
        checksum = int(signal.sum(dtype=np.int64)) % 65_536
        lines.append(f"record.dat 16 64.0(0)/uV 16 0 {signal[0]} {checksum} 0 E{channel}")
    (folder / "record.hea").write_text("\n".join(lines) + "\n")
    return open_session(folder / "record.hea")


def mne_raw() -> object:
    import mne

    info = mne.create_info([f"E{channel}" for channel in range(N_CHANNELS)], RATE_HZ, "emg")
    return mne.io.RawArray(TRUTH.emg.T.astype(np.float64) * 1e-6, info, verbose="ERROR")


def mne_object(folder: Path) -> Session:
    del folder
    return open_session(mne_raw())


def mne_file(folder: Path) -> Session:
    mne_raw().save(folder / "session_raw.fif", fmt="double", verbose="ERROR")
    return open_session(folder / "session_raw.fif")


def ninapro(folder: Path) -> Session:
    from scipy.io import savemat

    fields = {"emg": TRUTH.emg, "glove": np.zeros((N_SAMPLES, 18)), "restimulus": np.zeros((N_SAMPLES, 1), dtype="i1")}
    savemat(folder / "S1_E1_A1.mat", fields, do_compression=True)
    return open_session(folder / "S1_E1_A1.mat")


def parquet(folder: Path) -> Session:
    import pyarrow as pa
    import pyarrow.parquet

    columns = {"time_s": np.arange(N_SAMPLES) / RATE_HZ}
    columns |= {f"emg{channel}": TRUTH.emg[:, channel] for channel in range(N_CHANNELS)}
    columns |= {joint: TRUTH.joint_angles[:, number] for number, joint in enumerate(JOINTS)}
    pyarrow.parquet.write_table(pa.table(columns), folder / "session.parquet", row_group_size=77)
    return open_session(folder / "session.parquet")


def xdf(folder: Path) -> Session:
    stamps = 50 + np.arange(N_SAMPLES) / RATE_HZ
    write_xdf(folder / "session.xdf", (xdf_header(n_channels=N_CHANNELS, rate_hz=RATE_HZ), TRUTH.emg, stamps))
    return open_session(folder / "session.xdf")


def prepared(folder: Path) -> Session:
    # Nothing changes at this rate, but every read goes through the preparing reader's caches.
    session = npz(folder)
    return prepare_session(session, Preprocessing((Resample(RATE_HZ),)), sample_rate_hz=RATE_HZ)


def stored(folder: Path) -> Session:
    (folder / "root").mkdir()
    hdf5_with("f4")(folder / "root").close()
    header, row = ",".join(REQUIRED_COLUMNS), "session,s,u,s,left,train,"
    (folder / "root/metadata.csv").write_text(f"{header}\n{row}\n")
    prepare_store(folder / "root", folder / "store")
    return open_session(folder / "store/session.hdf5")


MAKERS = {
    "emg2pose HDF5, f4": hdf5_with("f4"),
    "emg2pose HDF5, f8": hdf5_with("f8"),
    "emg2pose BIDS": bids,
    "CSV": csv,
    "NPZ": npz,
    "NPZ, column-major": npz_column_major,
    "WFDB": wfdb_record,
    "MNE Raw": mne_object,
    "MNE file": mne_file,
    "Ninapro": ninapro,
    "Parquet": parquet,
    "XDF": xdf,
    "prepared": prepared,
    "store": stored,
}


@pytest.fixture(params=MAKERS, scope="module")
def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with MAKERS[request.param](tmp_path_factory.mktemp("session")) as opened:
        yield opened


def test_every_format_that_opens_is_under_this_contract() -> None:
    assert all(any(kind.name in name for name in MAKERS) for kind in FORMATS)


def test_facts_describe_the_samples(session: Session) -> None:
    assert session.n_samples == len(session) == N_SAMPLES
    assert session.sample_rate_hz == RATE_HZ
    assert session.duration_s == N_SAMPLES / RATE_HZ
    assert session.n_channels == len(session.channel_names) == len(set(session.channel_names)) == N_CHANNELS
    assert session.has_emg
    assert str(N_SAMPLES) in repr(session)
    assert session.name


def test_emg_is_what_was_recorded(session: Session) -> None:
    emg = session.emg()
    assert emg.dtype == np.float32
    assert emg.shape == (N_SAMPLES, N_CHANNELS)
    np.testing.assert_allclose(emg, TRUTH.emg, atol=1e-5)


def test_joint_angles_are_what_was_recorded(session: Session) -> None:
    if not session.has_joint_angles:
        with pytest.raises(DataError, match="holds EMG only"):
            session.joint_angles()
        return
    joint_angles = session.joint_angles()
    assert joint_angles.dtype == np.float32
    np.testing.assert_array_equal(joint_angles[TRUTH.valid], TRUTH.joint_angles[TRUTH.valid])


def test_labels_that_are_all_zero_are_not_valid(session: Session) -> None:
    valid = session.valid()
    assert valid.dtype == np.bool_
    expected = TRUTH.valid if session.has_joint_angles else np.zeros(N_SAMPLES, dtype=bool)
    np.testing.assert_array_equal(valid, expected)
    runs = [(3, 100), (150, N_SAMPLES - 1)] if session.has_joint_angles else []
    assert session.valid_runs() == runs


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (7, 7), (13, 222), (499, 500), (500, 500), (3, None)])
def test_any_range_equals_that_part_of_the_whole(session: Session, start: int, stop: int | None) -> None:
    part, whole = session.read(start, stop), session.read()
    assert part.start == start
    assert part.stop == (N_SAMPLES if stop is None else stop)
    np.testing.assert_array_equal(part.emg, whole.emg[start:stop])
    np.testing.assert_array_equal(part.joint_angles, whole.joint_angles[start:stop])
    np.testing.assert_array_equal(part.valid, whole.valid[start:stop])
    np.testing.assert_array_equal(session.emg(start, stop), whole.emg[start:stop])
    np.testing.assert_array_equal(session.time_s(start, stop), session.time_s()[start:stop])


def test_chunks_give_the_whole_recording_once(session: Session) -> None:
    chunks = list(session.chunks(133))
    assert [chunk.start for chunk in chunks] == [0, 133, 266, 399]
    np.testing.assert_array_equal(np.concatenate([chunk.emg for chunk in chunks]), session.emg())
    np.testing.assert_array_equal(np.concatenate([chunk.valid for chunk in chunks]), session.valid())


def test_time_runs_forward_at_the_stated_rate(session: Session) -> None:
    time_s = session.time_s()
    assert time_s.dtype == np.float64
    np.testing.assert_allclose(np.diff(time_s), 1 / RATE_HZ, atol=1e-7)


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (0, N_SAMPLES + 1), (9, 3), (0.5, 3)])
def test_a_range_outside_the_recording_is_refused(session: Session, start: float, stop: float) -> None:
    with pytest.raises(ShapeError, match=r"expected (a range inside \[0, 500\)|whole sample numbers)"):
        session.read(start, stop)


def test_chunks_without_samples_are_refused(session: Session) -> None:
    with pytest.raises(ShapeError, match="at least one sample"):
        session.chunks(0)


def test_a_pickled_session_reads_the_same(session: Session) -> None:
    session.emg(0, 1)
    twin = pickle.loads(pickle.dumps(session))
    with twin:
        assert twin.facts == session.facts
        np.testing.assert_array_equal(twin.emg(20, 90), session.emg(20, 90))


def test_a_closed_session_opens_again_when_read(session: Session) -> None:
    before = session.emg(5, 10)
    session.close()
    session.close()
    np.testing.assert_array_equal(session.emg(5, 10), before)


def test_what_is_read_may_be_changed_without_changing_the_recording(session: Session) -> None:
    before = session.emg(40, 50)
    session.emg(40, 50)[:] = 0
    session.read(40, 50).emg[:] = 0
    np.testing.assert_array_equal(session.emg(40, 50), before)


def _sum_in_child(session: Session, queue: "multiprocessing.SimpleQueue[float]") -> None:
    queue.put(float(session.emg(100, 200).sum()))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_reads_the_same_session(session: Session) -> None:
    expected = float(session.emg(100, 200).sum())
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_sum_in_child, args=(session, queue))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert queue.get() == expected
    assert float(session.emg(100, 200).sum()) == expected
