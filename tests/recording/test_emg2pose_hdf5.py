import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from emgpose.errors import ConfigError, SessionFormatError
from emgpose.preprocessing import EMG2POSE_PREPROCESSING
from emgpose.recording import Session, open_session, write_emg2pose_hdf5

N = 300
ROW = [("time", "<f8"), ("joint_angles", "<f4", (20,)), ("emg", "<f4", (16,))]
ATTRIBUTES = {
    "session": "2022-12-06-session",
    "side": "left",
    "stage": "FingerFreeform",
    "start": 1.6e9,
    "end": 1.6e9 + N / 2000,
    "num_channels": 16,
    "sample_rate": 2000.0,
    "user": "u1",
    "filename": "f",
}


def make(
    path: Path,
    row: list | None = None,
    attributes: dict | None = None,
    change: Callable[[h5py.File], None] | None = None,
    **options: object,
) -> Path:
    """A file as other programs write it: plain h5py, contiguous unless options say otherwise."""
    rows = np.zeros(N, dtype=row or ROW)
    rng = np.random.default_rng(0)
    names = rows.dtype.names
    if "time" in names:
        rows["time"] = 1.6e9 + np.arange(N) / 2000 + rng.uniform(-1e-4, 1e-4, N)
    for name in set(names) - {"time"}:
        rows[name] = rng.uniform(0.1, 1, rows[name].shape)
    with h5py.File(path, "w") as file:
        group = file.create_group("emg2pose")
        group.create_dataset("timeseries", data=rows, **options)
        group.attrs.update(ATTRIBUTES if attributes is None else attributes)
        if change is not None:
            change(file)
    return path


def without(*names: str) -> dict:
    return {name: value for name, value in ATTRIBUTES.items() if name not in names}


def test_a_published_file_opens_with_its_facts(tmp_path: Path) -> None:
    with open_session(make(tmp_path / "f.hdf5")) as session:
        assert (session.user, session.stage, session.side) == ("u1", "FingerFreeform", "left")
        assert session.session == "2022-12-06-session"
        assert session.emg_unit == "noise_floor"
        assert session.preprocessing == EMG2POSE_PREPROCESSING
        assert session.facts.start_s == pytest.approx(1.6e9, abs=1e-3)
        assert session.facts.attributes["filename"] == "f"
        assert session.facts.notes == ()


def test_jittered_time_stamps_are_given_as_they_are(tmp_path: Path) -> None:
    with open_session(make(tmp_path / "f.hdf5")) as session:
        steps = np.diff(session.time_s())
        assert steps.std() > 1e-5
        assert session.sample_rate_hz == 2000


def test_optional_attributes_may_be_missing(tmp_path: Path) -> None:
    path = make(tmp_path / "f.hdf5", attributes={"sample_rate": 2000})
    with open_session(path) as session:
        assert (session.user, session.stage, session.side, session.session) == (None, None, None, "f")
        assert session.facts.notes == ("not stated: session, user, stage, side",)


@pytest.mark.parametrize("value", [b"u1", "u1", np.bytes_(b"u1"), np.array(["u1"], dtype=h5py.string_dtype())])
def test_text_attributes_may_be_stored_in_any_way(tmp_path: Path, value: object) -> None:
    with open_session(make(tmp_path / "f.hdf5", attributes={**ATTRIBUTES, "user": value})) as session:
        assert session.user == "u1"


@pytest.mark.parametrize("options", [{"chunks": (64,)}, {"chunks": (64,), "compression": "gzip", "shuffle": True}])
def test_chunked_and_compressed_files_read_the_same(tmp_path: Path, options: dict) -> None:
    with open_session(make(tmp_path / "a.hdf5")) as plain, open_session(make(tmp_path / "b.hdf5", **options)) as other:
        np.testing.assert_array_equal(plain.emg(), other.emg())


def test_infinite_and_nan_labels_are_not_valid(tmp_path: Path) -> None:
    joint_angles = np.full((4, 20), 0.5)
    joint_angles[1, 3], joint_angles[2, 5] = np.nan, 1e300  # the second overflows float32
    write_emg2pose_hdf5(
        tmp_path / "f.hdf5",
        np.ones((4, 16)),
        joint_angles,
        sample_rate_hz=2000,
        user="u",
        stage="s",
        side="left",
        angles_dtype="f8",
    )
    with open_session(tmp_path / "f.hdf5") as session:
        assert session.valid().tolist() == [True, False, False, True]


def test_channels_are_chosen_by_name_or_number(tmp_path: Path) -> None:
    path = make(tmp_path / "f.hdf5")
    with open_session(path) as session, open_session(path, channels=["emg5", 2, "7"]) as chosen:
        assert chosen.channel_names == ("emg5", "emg2", "emg7")
        np.testing.assert_array_equal(chosen.emg(), session.emg()[:, [5, 2, 7]])


@pytest.mark.parametrize(
    ("channels", "says"),
    [
        (["emg16"], "no channel 'emg16'"),
        ([16], "no channel 16"),
        ([-1], "no channel -1"),
        ([], "at least one"),
        ([1, "1"], "more than once"),
    ],
)
def test_a_wrong_choice_of_channels_is_refused(tmp_path: Path, channels: list, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        open_session(make(tmp_path / "f.hdf5"), channels=channels)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (ROW[:2], "has no field emg"),
        (ROW[1:], "has no field time"),
        ([ROW[0], ROW[2]], "has no field joint_angles"),
        ([ROW[0], ("joint_angles", "<f4", (19,)), ROW[2]], r"expected shape \(20,\), got \(19,\)"),
        ([ROW[0], ("joint_angles", "<f4", (20, 1)), ROW[2]], "field joint_angles: expected shape"),
        ([*ROW[:2], ("emg", "<f4", (15,))], "num_channels: expected 15"),
        ([*ROW[:2], ("emg", "<f4", (4, 4))], r"field emg: expected shape \(16,\), got \(4, 4\)"),
        ([*ROW[:2], ("emg", "<f4")], r"field emg: expected shape"),
        ([*ROW[:2], ("emg", "<i4", (16,))], "little-endian float32, got int32"),
        ([*ROW[:2], ("emg", ">f4", (16,))], "little-endian float32, got >f4"),
        ([*ROW[:2], ("emg", "<f2", (16,))], "little-endian float32, got float16"),
        ([ROW[0], ("joint_angles", "<i2", (20,)), ROW[2]], "float32 or float64, got int16"),
        ([("time", "<i8"), *ROW[1:]], "field time: expected little-endian float64"),
        ([("time", "<f4"), *ROW[1:]], "field time: expected little-endian float64"),
    ],
)
def test_wrong_fields_are_named(tmp_path: Path, row: list, says: str) -> None:
    with pytest.raises(SessionFormatError, match=says) as caught:
        open_session(make(tmp_path / "bad.hdf5", row=row))
    assert "bad.hdf5" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        *(
            ("sample_rate", value, "expected a sample rate between")
            for value in (np.nan, np.inf, 0, -2000, 1e300, 1e-9)
        ),
        *(("sample_rate", value, "expected a sample rate between") for value in ("2000", [2000.0, 2000.0], True)),
        ("sample_rate", 200.0, r"are (1999|200\d)\S* Hz"),
        ("sample_rate", 20000.0, r"are (1999|200\d)\S* Hz"),
        *(("num_channels", value, "num_channels: expected 16") for value in (-16, 15, 1e30, "16", [16, 16], np.nan)),
        *(("side", value, "side") for value in ("both", 3, 1.5, ["left", "right"])),
        *(("user", value, "user: expected a short text") for value in (1.5, "a\x1b[2J", "x" * 600, [1, 2])),
    ],
)
def test_impossible_attributes_are_named(tmp_path: Path, name: str, value: object, says: str) -> None:
    with pytest.raises(SessionFormatError, match=says) as caught:
        open_session(make(tmp_path / "bad.hdf5", attributes={**ATTRIBUTES, name: value}))
    assert "bad.hdf5" in str(caught.value)


def test_a_file_without_its_rate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SessionFormatError, match="no attribute sample_rate"):
        open_session(make(tmp_path / "f.hdf5", attributes=without("sample_rate")))


def test_a_rate_slightly_off_the_time_stamps_is_noted(tmp_path: Path) -> None:
    with open_session(make(tmp_path / "f.hdf5", attributes={**ATTRIBUTES, "sample_rate": 2048.0})) as session:
        assert "the stated 2048 Hz are used" in session.facts.notes[0]


@pytest.mark.parametrize("time", [0.0, np.nan, np.inf])
def test_time_stamps_that_do_not_run_forward_are_refused(tmp_path: Path, time: float) -> None:
    def stop_clock(file: h5py.File) -> None:
        file["emg2pose/timeseries"]["time"] = time

    with pytest.raises(SessionFormatError, match="Unix seconds that increase"):
        open_session(make(tmp_path / "f.hdf5", change=stop_clock))


def move_away(file: h5py.File) -> None:
    file.move("emg2pose", "other")


def link_outside(file: h5py.File) -> None:
    del file["emg2pose/timeseries"]
    file["emg2pose/timeseries"] = h5py.ExternalLink("/etc/passwd", "x")


def link_group_outside(file: h5py.File) -> None:
    del file["emg2pose"]
    file["emg2pose"] = h5py.ExternalLink("other.hdf5", "emg2pose")


def soft_link(file: h5py.File) -> None:
    file.move("emg2pose", "other")
    file["emg2pose"] = h5py.SoftLink("/other")


def virtual(file: h5py.File) -> None:
    dataset = file["emg2pose/timeseries"]
    layout = h5py.VirtualLayout(shape=dataset.shape, dtype=dataset.dtype)
    layout[:] = h5py.VirtualSource("elsewhere.hdf5", "x", dataset.shape)
    del file["emg2pose/timeseries"]
    file["emg2pose"].create_virtual_dataset("timeseries", layout)


def external(file: h5py.File) -> None:
    dtype = file["emg2pose/timeseries"].dtype
    del file["emg2pose/timeseries"]
    file["emg2pose"].create_dataset("timeseries", (N,), dtype, external=[("/etc/passwd", 0, N * dtype.itemsize)])


def group_instead(file: h5py.File) -> None:
    del file["emg2pose/timeseries"]
    file.create_group("emg2pose/timeseries")


def plain_numbers(file: h5py.File) -> None:
    del file["emg2pose/timeseries"]
    file["emg2pose/timeseries"] = np.zeros(N)


def no_rows(file: h5py.File) -> None:
    dtype = file["emg2pose/timeseries"].dtype
    del file["emg2pose/timeseries"]
    file["emg2pose"].create_dataset("timeseries", (0,), dtype)


def promised_only(file: h5py.File) -> None:
    dtype = file["emg2pose/timeseries"].dtype
    del file["emg2pose/timeseries"]
    file["emg2pose"].create_dataset("timeseries", (10**12,), dtype, chunks=(4096,))


def promised_only_contiguous(file: h5py.File) -> None:
    dtype = file["emg2pose/timeseries"].dtype
    del file["emg2pose/timeseries"]
    file["emg2pose"].create_dataset("timeseries", (10**9,), dtype)


def a_chunk_short(file: h5py.File) -> None:
    rows = file["emg2pose/timeseries"][()]
    del file["emg2pose/timeseries"]
    dataset = file["emg2pose"].create_dataset("timeseries", (N,), rows.dtype, chunks=(100,))
    dataset[:100], dataset[200:] = rows[:100], rows[200:]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (move_away, "expected emg2pose as emg2pose files have it, found 'other'"),
        (link_outside, "is a link to elsewhere"),
        (link_group_outside, "is a link to elsewhere"),
        (soft_link, "is a link to elsewhere"),
        (virtual, "keeps its samples in other files"),
        (external, "keeps its samples in other files"),
        (group_instead, "expected emg2pose/timeseries to be an HDF5 dataset, got a group"),
        (plain_numbers, "expected fields time, joint_angles and emg"),
        (no_rows, "with samples"),
        (promised_only, "the samples from 0 on are not stored"),
        (promised_only_contiguous, "bytes of samples, found 0"),
        (a_chunk_short, "the samples from 100 on are not stored"),
    ],
)
def test_foreign_and_hollow_files_are_refused(tmp_path: Path, change: Callable[[h5py.File], None], says: str) -> None:
    with pytest.raises(SessionFormatError, match=says):
        open_session(make(tmp_path / "bad.hdf5", change=change))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_named_as_damaged(tmp_path: Path, share: float) -> None:
    path = make(tmp_path / "cut.hdf5")
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(SessionFormatError, match=r"cut\.hdf5"):
        open_session(path)


def test_a_flipped_bit_in_our_own_files_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "f.hdf5"
    write_emg2pose_hdf5(path, np.ones((300, 16)), sample_rate_hz=2000, user="u", stage="s", side="left")
    with h5py.File(path) as file:
        chunk = file["emg2pose/timeseries"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + 100 * 152 + 120] ^= 4
    path.write_bytes(content)
    with pytest.raises(SessionFormatError, match=r"f\.hdf5"), open_session(path) as session:
        session.emg()


def test_a_damaged_text_heap_never_reaches_the_hdf5_library(tmp_path: Path) -> None:
    """Each of these makes HDF5 2.0 crash, loop for ever or ask for gigabytes."""
    content = make(tmp_path / "f.hdf5").read_bytes()
    heap = content.index(b"GCOL")
    for place, value in ((heap + 24, 0xFF), (heap + 29, 0x7F), (heap + 9, 0xFF), (heap + 16, 0x99)):
        broken = bytearray(content)
        broken[place] = value
        (tmp_path / "bad.hdf5").write_bytes(broken)
        with pytest.raises(SessionFormatError, match="the attributes are damaged"):
            open_session(tmp_path / "bad.hdf5")


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("userblock", [0, 512])
def test_text_is_found_in_every_version_of_the_format(tmp_path: Path, libver: str, userblock: int) -> None:
    rows = np.zeros(N, dtype=ROW)
    rows["time"] = np.arange(N) / 2000
    with h5py.File(tmp_path / "f.hdf5", "w", libver=libver, userblock_size=userblock) as file:
        group = file.create_group("emg2pose")
        group.create_dataset("timeseries", data=rows)
        group.attrs.update({**ATTRIBUTES, "empty": "", "nothing": h5py.Empty("f8"), "dataset": "mini"})
    with open_session(tmp_path / "f.hdf5") as session:
        assert session.user == "u1"
        assert session.facts.attributes["dataset"] == "mini"
        assert not session.valid().any()


def test_a_damaged_heap_of_attributes_outside_the_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.hdf5"
    with h5py.File(path, "w", libver="latest") as file:
        group = file.create_group("emg2pose")
        rows = np.ones(N, dtype=ROW)
        rows["time"] = np.arange(N) / 2000
        group.create_dataset("timeseries", data=rows)
        group.attrs.update(ATTRIBUTES)
    assert open_session(path).user == "u1"
    content = bytearray(path.read_bytes())
    assert b"BTHD" in content  # more than eight attributes: they have left the header
    first_object = content.index(b"GCOL") + 16
    content[first_object + 8 : first_object + 16] = (2**63).to_bytes(8, "little")
    path.write_bytes(content)
    with pytest.raises(SessionFormatError, match="does not fit in"):
        open_session(path)


def test_a_file_that_was_replaced_after_opening_is_not_read(tmp_path: Path) -> None:
    path = make(tmp_path / "f.hdf5")
    session = open_session(path)
    make(path, chunks=(50,))
    with pytest.raises(SessionFormatError, match="was replaced since"):
        session.emg()


def test_a_file_that_is_cut_short_while_it_is_read_gives_no_zeros(tmp_path: Path) -> None:
    path = make(tmp_path / "f.hdf5")
    with open_session(path) as session:
        session.emg(0, 10)
        os.truncate(path, path.stat().st_size // 2)
        with pytest.raises(SessionFormatError, match="or written to"):
            session.emg(N - 10)


def test_a_file_that_was_removed_after_opening_is_named(tmp_path: Path) -> None:
    path = make(tmp_path / "f.hdf5")
    session: Session = open_session(path)
    path.unlink()
    with pytest.raises(SessionFormatError, match="no such file"):
        session.emg()
