import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest

from emgpose.errors import ConfigError, DataError, SessionFormatError
from emgpose.hand import JOINTS
from emgpose.recording import open_session, read_metadata, session_path, write_emg2pose_hdf5
from emgpose.recording.check import check_session
from emgpose.recording.metadata import REQUIRED_COLUMNS
from emgpose.recording.opening import recording_exists
from emgpose.recording.store import is_store, open_store
from emgpose.recording.store.check import check_store
from emgpose.recording.store.frames import CHUNK_SAMPLES
from emgpose.store import prepare_store
from made_stores import assert_same_samples, small_dataset


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return small_dataset(tmp_path_factory.mktemp("originals"), seconds=5.0)


@pytest.fixture(scope="module")
def store(root, tmp_path_factory):
    out = tmp_path_factory.mktemp("stores") / "store"
    prepare_store(root, out)
    return out


@pytest.fixture
def copy(store, tmp_path):
    return shutil.copytree(store, tmp_path / "store")


def write_table(root, names):
    rows = [",".join([name, "s", "u", "stage", "left", "train", ""]) for name in names]
    (root / "metadata.csv").write_text("\n".join([",".join(REQUIRED_COLUMNS), *rows]) + "\n", encoding="utf-8")


def made_session(rng, n_samples, kind):
    """EMG as converters, filters or nothing at all would leave it; angles with gaps, negative zeros and NaN."""
    emg = rng.standard_normal((n_samples, 16)).astype(np.float32) * 20
    if kind == "steps":
        emg = (np.rint(emg * 32) / 32).astype(np.float32)
        emg[: n_samples // 9] = rng.choice([-1024.0, 32767 / 32, -0.0])
    elif kind == "steps of 0.1":
        emg = np.rint(emg * 10).astype(np.float32) * np.float32(0.1)
    elif kind == "quiet":
        emg[:] = 0
    angles = np.cumsum(rng.standard_normal((n_samples, 20)), axis=0).astype(np.float32) * np.float32(1e-3)
    for start in rng.integers(n_samples, size=3):
        angles[start : start + n_samples // 7] = rng.choice([0.0, -0.0, np.nan])
    return emg, angles


SLOW_KINDS = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("steps of 0.1", "quiet")]


@pytest.mark.parametrize("kind", ["steps", "noise", *SLOW_KINDS])
def test_random_recordings_come_back_bit_for_bit(tmp_path, kind):
    root = tmp_path / "root"
    root.mkdir()
    rng = np.random.default_rng(len(kind))
    lengths = [1, CHUNK_SAMPLES - 1, CHUNK_SAMPLES, CHUNK_SAMPLES + 1, *rng.integers(2, 10_000, 3).tolist()]
    for number, n_samples in enumerate(lengths):
        emg, angles = made_session(rng, n_samples, kind)
        time_s = 1.7e9 + np.arange(n_samples) / 2000 + rng.uniform(-1e-4, 1e-4, n_samples)
        path = root / f"r{number}.hdf5"
        facts = {"sample_rate_hz": 2000.0, "user": "u", "stage": "s", "side": "left"}
        write_emg2pose_hdf5(path, emg, angles, time_s=np.sort(time_s), **facts)
    write_table(root, [f"r{number}" for number in range(len(lengths))])
    report = prepare_store(root, tmp_path / "store", verify=True)
    assert report.n_sessions == len(lengths)
    index = open_store(tmp_path / "store").index
    expected = "float32" if kind == "noise" else "int16"
    long = [number for number in range(len(lengths)) if lengths[number] >= CHUNK_SAMPLES]
    assert {index.emg_dtype(number) for number in long} == {expected}
    for number in long:
        stored = open_session(tmp_path / "store" / index.names[number])
        assert stored.reader.emg_is_finite == (expected == "int16")
        assert np.isfinite(stored.emg()).all()
    assert_same_samples(root, tmp_path / "store")


def write_any(path, emg, angles, rate_hz, **attributes):
    """Write an emg2pose file that no writer of ours would: any bits, any number of channels, any attributes."""
    fields = [("time", "f8"), ("joint_angles", angles.dtype, (20,)), ("emg", "f4", (emg.shape[1],))]
    rows = np.zeros(len(emg), dtype=fields)
    rows["time"], rows["joint_angles"], rows["emg"] = 1.7e9 + np.arange(len(emg)) / rate_hz, angles, emg
    with h5py.File(path, "w") as file:
        group = file.create_group("emg2pose")
        group.create_dataset("timeseries", data=rows)
        group.attrs.update({"sample_rate": rate_hz, "num_channels": emg.shape[1], "side": "left"} | attributes)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(
    ("n_samples", "n_channels", "rate_hz"), [(1, 16, 2000.0), (5000, 3, 4000.0), (900, 17, 1024.0)]
)
def test_any_bits_at_any_rate_come_back(tmp_path, dtype, n_samples, n_channels, rate_hz):
    root = tmp_path / "root"
    root.mkdir()
    rng = np.random.default_rng(n_samples)
    # NaN payloads, denormals, infinities and the largest numbers for labels; for EMG all of them that are finite.
    angles = rng.integers(2**32, size=(n_samples, 20), dtype=np.uint32).view(np.float32)
    angles[: n_samples // 2] = rng.standard_normal(20)
    wild = rng.integers(2**32, size=(n_samples, n_channels), dtype=np.uint32).view(np.float32)
    wild[~np.isfinite(wild)] = -0.0
    tiny = np.float32(1e-41) * rng.integers(-9, 9, (n_samples, n_channels)).astype(np.float32)
    for name, emg in [("wild", wild), ("tiny", tiny)]:
        with np.errstate(invalid="ignore"):
            write_any(root / f"{name}.hdf5", emg, angles.astype(dtype), rate_hz)
    write_table(root, ["wild", "tiny"])
    assert prepare_store(root, tmp_path / "store", verify=True).n_sessions == 2
    assert_same_samples(root, tmp_path / "store")


@pytest.mark.parametrize(
    "value",
    [
        np.array(["é".encode(), b"b"]),
        np.array([b"\xff\xfe"] * 2),
        np.ones(3, dtype=np.longdouble),
        np.nan,
        [True, False],
    ],
    ids=["text", "bytes", "long doubles", "NaN", "booleans"],
)
def test_attributes_of_any_plain_type_are_kept(tmp_path, value):
    root = tmp_path / "root"
    root.mkdir()
    write_any(root / "r.hdf5", np.ones((9, 16)), np.ones((9, 20), dtype=np.float32), 2000.0, extra=value)
    write_table(root, ["r"])
    prepare_store(root, tmp_path / "store", verify=True)
    before, after = open_session(root / "r.hdf5"), open_session(tmp_path / "store/r.hdf5")
    np.testing.assert_array_equal(after.facts.attributes["extra"], before.facts.attributes["extra"])
    assert np.asarray(after.facts.attributes["extra"]).dtype == np.asarray(before.facts.attributes["extra"]).dtype


@pytest.fixture
def lacking_joints(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    angles = np.ones((900, 20), dtype=np.float32)
    angles[:, 2:] = np.nan
    write_any(root / "r.hdf5", np.ones((900, 16)), angles, 2000.0, known_joints=",".join(JOINTS[:2]))
    write_table(root, ["r"])
    prepare_store(root, tmp_path / "store")
    return tmp_path / "store"


def test_joints_that_a_recording_lacks_are_still_known_in_a_store(lacking_joints):
    stored = open_session(lacking_joints / "r.hdf5")
    assert stored.facts.missing_joints == JOINTS[2:]
    assert stored.valid_runs() == []


@pytest.mark.slow  # for what training imports
def test_training_refuses_a_stored_recording_that_lacks_joints(lacking_joints):
    from emgpose.preprocessing import EMG2POSE_PREPROCESSING
    from emgpose.training.recordings import ModelNeeds
    from emgpose.training.stored import StoredRecordings

    needs = ModelNeeds("a model", 16, 2000.0, EMG2POSE_PREPROCESSING)
    with pytest.raises(DataError, match="training needs the angles of all 20 joints"):
        StoredRecordings(open_store(lacking_joints), ["r"], needs)


def test_any_range_is_that_part_of_the_original(root, store):
    row = read_metadata(root).iloc[3]
    original, stored = open_session(session_path(root, row)), open_session(session_path(store, row))
    for start, stop in [(0, 1), (4095, 4097), (100, 9000), (8191, 8192), (0, 10_000), (77, 77)]:
        assert stored.emg(start, stop).tobytes() == original.emg(start, stop).tobytes()
        emg, angles = stored.reader.read_planar(start, stop)
        assert np.array_equal(emg.T, original.emg(start, stop))
        assert np.array_equal(angles.T, original.joint_angles(start, stop))
        assert np.array_equal(stored.valid(start, stop), original.valid(start, stop))


def test_threads_that_read_at_once_get_what_each_asked_for(root, store):
    names = open_store(store).index.names
    ranges = [(name, start, start + 4500) for name in names for start in range(0, 5000, 700)]
    alone = {asked: open_session(store / asked[0]).reader.read_planar(*asked[1:]) for asked in ranges}
    with ThreadPoolExecutor(4) as threads:
        for asked, found in zip(
            ranges * 3,
            threads.map(lambda asked: open_session(store / asked[0]).reader.read_planar(*asked[1:]), ranges * 3),
            strict=True,
        ):
            assert all(np.array_equal(one, two) for one, two in zip(found, alone[asked], strict=True))


def test_what_is_read_stays_when_more_is_read(store):
    session = open_session(store / open_store(store).index.names[0])
    first = session.read(0, 5000)
    kept = first.emg.copy(), first.joint_angles.copy()
    session.read(3000, 9000)
    assert np.array_equal(first.emg, kept[0])
    assert np.array_equal(first.joint_angles, kept[1], equal_nan=True)


def test_a_shard_cut_short_gives_nothing_of_what_was_read_before(copy):
    name = open_store(copy).index.names[0]
    session = open_session(copy / name)
    session.reader.read_planar(0, 9000)
    places = open_store(copy).index.places(0, "joint_angles")
    shard = copy / "shards/00000.h5"
    # The same bytes as before are still in the room that is read into.
    shard.write_bytes(shard.read_bytes()[: int(places["offset"][1]) + 10])
    with pytest.raises(SessionFormatError, match="emg, chunk 2"):
        session.reader.read_planar(0, 9000)
    with pytest.raises(SessionFormatError, match="joint_angles, chunk 1"):
        session.reader.read_planar(0, 8000)


def test_asking_for_samples_ahead_is_no_error_where_they_cannot_be_read(copy):
    session = open_session(copy / open_store(copy).index.names[0])
    session.reader.expect(0, 9000)
    session.reader.expect(5, 5)
    (copy / "shards/00000.h5").unlink()
    session.reader.expect(0, 9000)
    with pytest.raises(SessionFormatError, match="the shard cannot be read"):
        session.reader.read_planar(0, 9000)


def test_a_stored_recording_says_of_itself_what_the_original_said(root, store):
    for row in read_metadata(root).to_dict("records"):
        before, after = open_session(session_path(root, row)).facts, open_session(session_path(store, row)).facts
        assert after.format == f"{before.format}, in a store"
        for name in ("session", "user", "stage", "side", "n_samples", "sample_rate_hz", "channel_names", "start_s"):
            assert getattr(after, name) == getattr(before, name)
        assert after.attributes == before.attributes
        assert after.preprocessing == before.preprocessing
        assert after.notes == before.notes


def test_the_index_knows_everything_but_samples(root, store):
    shutil.rmtree(shutil.copytree(store, store.with_name("without_shards")) / "shards")
    index = open_store(store.with_name("without_shards")).index
    for row in read_metadata(root).to_dict("records"):
        session = open_session(session_path(root, row))
        number = index.number(row["filename"])
        whole = session.read()
        assert index.valid_runs(number) == session.valid_runs()
        assert index.n_valid[number] == whole.valid.sum()
        np.testing.assert_allclose(index.angle_sum(number), whole.joint_angles[whole.valid].sum(axis=0), rtol=1e-3)
        assert index.facts(number).user == row["user"]


def test_a_recording_is_found_with_and_without_its_ending(store):
    name = open_store(store).index.names[0]
    assert open_session(store / name).emg(0, 9).tobytes() == open_session(store / f"{name}.hdf5").emg(0, 9).tobytes()
    assert recording_exists(store / f"{name}.hdf5")
    assert not recording_exists(store / "no_such.hdf5")


def test_a_recording_that_a_store_does_not_hold_is_refused(store):
    with pytest.raises(SessionFormatError, match="the store has no recording 'no_such'"):
        open_session(store / "no_such.hdf5")
    with pytest.raises(SessionFormatError, match="no such file"):
        open_session(store / ".." / "elsewhere" / "x.hdf5")
    with pytest.raises(ConfigError, match="takes no rate_hz"):
        open_session(store / open_store(store).index.names[0], rate_hz=2000)


def test_channels_can_be_chosen(store):
    path = store / open_store(store).index.names[0]
    chosen = open_session(path, channels=["emg5", 2])
    assert chosen.channel_names == ("emg5", "emg2")
    assert np.array_equal(chosen.emg(), open_session(path).emg()[:, [5, 2]])
    with pytest.raises(ConfigError, match="there is no channel"):
        open_session(path, channels=["x"])


def test_a_pickled_recording_is_small_and_notices_a_store_made_anew(copy, root):
    session = open_session(copy / open_store(copy).index.names[0])
    pickled = pickle.dumps(session)
    assert len(pickled) < 1000
    assert pickle.loads(pickled).emg(0, 5).tobytes() == session.emg(0, 5).tobytes()
    shutil.rmtree(copy)
    prepare_store(root, copy)
    with pytest.raises(SessionFormatError, match="prepared anew"):
        pickle.loads(pickled)


def flip(path, byte, bit=3):
    content = bytearray(path.read_bytes())
    content[byte] ^= 1 << bit
    path.write_bytes(content)


def read_everything(store):
    """What training would do: the table, then every sample of every recording."""
    for row in read_metadata(store).to_dict("records"):
        with open_session(session_path(store, row)) as session:
            session.read()
            session.time_s()


def test_a_flipped_bit_in_a_chunk_is_named_when_it_is_read_and_by_a_check(copy):
    index = open_store(copy).index
    for field in ("emg", "joint_angles", "time_s"):
        places = index.places(1, field)
        flip(copy / "shards/00000.h5", int(places["offset"][2]) + 100)
    session = open_session(copy / index.names[1])
    session.read(0, 2 * CHUNK_SAMPLES)
    expected = rf"00000\.h5: recording {index.names[1]}: emg, chunk 2 \(samples from 8192 on\)"
    with pytest.raises(DataError, match=expected):
        session.emg(9000, 9001)
    with pytest.raises(DataError, match="joint_angles, chunk 2"):
        session.joint_angles(8000, 9001)
    with pytest.raises(DataError, match="time_s, chunk 2"):
        session.time_s()
    report = check_store(copy)
    assert [finding.code for finding in report.findings] == ["store_damaged"] * 3
    assert [finding.where.rpartition(": ")[2] for finding in report.findings] == [
        f"{field}, chunk 2" for field in ("emg", "joint_angles", "time_s")
    ]


def test_a_flipped_bit_anywhere_is_found_and_never_becomes_a_sample(store, copy, root):
    rng = np.random.default_rng(5)
    truth = {
        row["filename"]: open_session(session_path(root, row)).read() for row in read_metadata(root).to_dict("records")
    }
    files = sorted(path for path in store.rglob("*") if path.is_file() and path.name not in (".lock",))
    assert {path.name for path in files} >= {"store.json", "index.parquet", "metadata.csv", "left_out.json"}
    for original in files:
        size = original.stat().st_size
        for byte in sorted({0, size - 1, *rng.integers(size, size=4).tolist()}):
            path = copy / original.relative_to(store)
            flip(path, byte, int(rng.integers(8)))
            assert check_store(copy).findings, f"{original.name}, byte {byte}"
            try:
                for row in read_metadata(copy).to_dict("records"):
                    part = open_session(session_path(copy, row)).read(0, 6000)
                    assert part.emg.tobytes() == truth[row["filename"]].emg[:6000].tobytes()
                    assert np.array_equal(part.valid, truth[row["filename"]].valid[:6000])
            except DataError:
                pass
            shutil.copy2(original, path)
    assert not check_store(copy).findings


def test_a_single_stored_recording_can_be_checked(copy):
    path = copy / f"{open_store(copy).index.names[0]}.hdf5"
    assert check_session(path).is_usable
    assert check_session(copy / "no_such.hdf5").findings[0].code == "unreadable"


def test_a_store_cut_short_is_refused_by_name(copy):
    shard = copy / "shards/00001.h5"
    shard.write_bytes(shard.read_bytes()[:-20_000])
    with pytest.raises(DataError, match=r"00001\.h5: recording"):
        read_everything(copy)
    shard.unlink()
    with pytest.raises(DataError, match="the shard cannot be read"):
        read_everything(copy)
    assert any("cannot be read" in finding.message for finding in check_store(copy).findings)


def test_a_changed_table_of_a_store_is_refused(copy):
    table = copy / "metadata.csv"
    table.write_text(table.read_text().replace("user00", "user09", 1))
    with pytest.raises(DataError, match=r"metadata\.csv: its checksum is not the one"):
        read_metadata(copy)


def test_an_unfinished_store_says_so(copy):
    (copy / "store.json").unlink()
    (copy / ".unfinished").mkdir()
    assert is_store(copy)
    for read in (open_store, read_metadata):
        with pytest.raises(DataError, match="was not finished"):
            read(copy)


def test_a_store_of_another_version_is_refused(copy):
    from emgpose.recording.store.layout import read_sealed_json, sealed_json

    document = read_sealed_json(copy / "store.json")
    (copy / "store.json").write_text(sealed_json(document | {"version": 99}))
    with pytest.raises(DataError, match="expected emgpose store version 1, got 'emgpose store' 99"):
        open_store(copy)


def test_no_file_is_held_open(store):
    import psutil

    sessions = [open_session(store / name) for name in open_store(store).index.names]
    for session in sessions:
        session.read(0, 100)
    assert not [file for file in psutil.Process().open_files() if str(store) in file.path]
