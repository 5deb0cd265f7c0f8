import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from emgpose.errors import DataError, SessionFormatError
from emgpose.recording import open_session


def save(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)
    return path


def good() -> dict[str, object]:
    rng = np.random.default_rng(0)
    return {
        "emg": rng.standard_normal((40, 16)).astype(np.float32),
        "joint_angles": rng.uniform(0.1, 1, (40, 20)),
        "valid": np.arange(40) % 5 > 0,
        "sample_rate_hz": 2000.0,
    }


def test_arrays_and_their_mask_are_read(tmp_path: Path) -> None:
    arrays = good()
    with open_session(save(tmp_path / "f.npz", **arrays)) as session:
        np.testing.assert_array_equal(session.emg(), arrays["emg"])
        np.testing.assert_array_equal(session.valid(), arrays["valid"])
        assert session.sample_rate_hz == 2000


def test_an_archive_that_was_replaced_after_opening_is_not_read(tmp_path: Path) -> None:
    path = save(tmp_path / "f.npz", **good())
    session = open_session(path)
    session.close()
    save(path, **{**good(), "emg": np.ones((40, 16), dtype=np.float32)})
    os.utime(path, ns=(1, 1))
    with pytest.raises(SessionFormatError, match="it was replaced since"):
        session.emg()


def test_counts_of_an_adc_are_read_as_they_are(tmp_path: Path) -> None:
    emg = np.arange(-320, 320, dtype=np.int16).reshape(40, 16)
    with open_session(save(tmp_path / "f.npz", emg=emg), rate_hz=500) as session:
        np.testing.assert_array_equal(session.emg(), emg)


def test_time_stamps_give_the_rate(tmp_path: Path) -> None:
    path = save(
        tmp_path / "f.npz", joint_angles=good()["joint_angles"], time_s=3 + np.arange(40) / 50, extra=np.ones(3)
    )
    with open_session(path) as session:
        assert (session.sample_rate_hz, session.facts.start_s) == (50, 3)
        assert session.facts.notes == ("not read: extra",)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"emg": np.zeros((16, 40))}, "transpose|expected 16 samples"),
        ({"emg": np.zeros((8, 40)), "joint_angles": None, "valid": None}, "transpose"),
        ({"emg": np.zeros(40)}, r"expected shape \(time, channel\)"),
        ({"emg": np.zeros((40, 16), dtype=np.int64)}, "expected dtype float16 or float32"),
        ({"emg": np.zeros((40, 16), dtype=complex)}, "expected dtype"),
        ({"emg": np.full((40, 16), None)}, "expected dtype|pickle"),
        ({"joint_angles": np.zeros((40, 19))}, r"expected shape \(time, 20\)"),
        ({"joint_angles": np.zeros((39, 20))}, "expected 40 samples"),
        ({"valid": np.ones(39, dtype=bool)}, "expected 40 samples"),
        ({"valid": np.ones(40)}, "expected dtype bool"),
        ({"valid": np.ones((40, 1), dtype=bool)}, "valid: expected 40 samples"),
        ({"sample_rate_hz": np.nan}, "sample rate between"),
        ({"sample_rate_hz": "2000"}, "sample rate between"),
        ({"sample_rate_hz": np.ones(2)}, "expected one number"),
        ({"sample_rate_hz": np.ones(9999)}, "expected one number"),
        ({"sample_rate_hz": None}, "--input-rate"),
        ({"emg": None, "joint_angles": None}, "expected an array emg"),
        ({"emg": np.zeros((0, 16)), "joint_angles": None, "valid": None}, r"emg: expected shape|empty"),
    ],
)
def test_wrong_arrays_are_named(tmp_path: Path, change: dict, says: str) -> None:
    arrays = {name: value for name, value in {**good(), **change}.items() if value is not None}
    with pytest.raises(SessionFormatError, match=says) as caught:
        open_session(save(tmp_path / "bad.npz", **arrays))
    assert "bad.npz" in str(caught.value)


def test_degrees_are_not_taken_for_radians(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected radians"):
        open_session(save(tmp_path / "f.npz", joint_angles=np.full((5, 20), 30.0)), rate_hz=50)


def test_two_rates_that_differ_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SessionFormatError, match="leave the wrong one out"):
        open_session(save(tmp_path / "f.npz", **good()), rate_hz=1000)


def test_a_pickled_object_is_never_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return (os.system, (f"touch {tmp_path / 'ran'}",))

    trap = np.empty(1, dtype=object)
    trap[0] = Trap()
    for name in ("emg", "sample_rate_hz"):
        with pytest.raises(SessionFormatError, match=f"{name}|pickle"):
            open_session(save(tmp_path / "bad.npz", **{**good(), name: trap}))
    assert not (tmp_path / "ran").exists()


def test_a_header_that_promises_too_much_is_refused(tmp_path: Path) -> None:
    header = (
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 16), }".ljust(117)
        + b"\n"
    )
    with zipfile.ZipFile(tmp_path / "bad.npz", "w") as archive:
        archive.writestr("emg.npy", header + bytes(640))
    with pytest.raises(SessionFormatError, match="does not fit"):
        open_session(tmp_path / "bad.npz", rate_hz=2000)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_archive_is_named(tmp_path: Path, share: float) -> None:
    path = save(tmp_path / "bad.npz", **good())
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(SessionFormatError, match=r"bad\.npz"):
        open_session(path)


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = save(tmp_path / "bad.npz", **good())
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(SessionFormatError, match="CRC"):
        open_session(path)
