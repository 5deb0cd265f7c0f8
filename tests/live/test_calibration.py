"""What a calibration is, as a value and as a file."""

import json
import math

import pytest

from emgpose.errors import ConfigError, DataError
from emgpose.live.calibration import Calibration, CalibrationQuality, GesturePattern

FULL = Calibration(
    noise_floor=tuple(1e-6 * (1 + channel) for channel in range(16)),
    roll=-3,
    gains=(1.5,) * 16,
    initial_pose=tuple(0.01 * joint for joint in range(20)),
    gestures=(GesturePattern("fist", tuple(float(channel) for channel in range(16))),),
    quality=CalibrationQuality((3,), 1.2, tuple(0.1 + 0.01 * roll for roll in range(16)), 0.8, 0.99),
)


@pytest.mark.parametrize("calibration", [Calibration(), FULL], ids=["empty", "full"])
def test_a_calibration_written_is_the_one_read(calibration, tmp_path) -> None:
    path = tmp_path / "me.json"
    calibration.write(path)
    assert Calibration.read(path) == calibration
    assert Calibration.from_dict(calibration.to_dict()) == calibration


def test_an_empty_calibration_changes_nothing_and_warns_of_nothing() -> None:
    empty = Calibration()
    assert (empty.noise_floor, empty.roll, empty.gains, empty.initial_pose) == (None, 0, None, None)
    assert empty.warnings == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"roll": 1.5}, "roll must be a whole number"),
        ({"roll": True}, "roll must be a whole number"),
        ({"noise_floor": (1.0, 0.0)}, r"noise_floor\[1\] is 0.0"),
        ({"noise_floor": (1.0, math.nan)}, r"noise_floor\[1\] is nan"),
        ({"noise_floor": ()}, "noise_floor must be"),
        ({"gains": (1.0, -1.0)}, r"gains\[1\] is -1.0"),
        ({"gains": ("loud",)}, r"gains\[0\] is 'loud'"),
        ({"initial_pose": (0.0,) * 19}, "initial_pose must be 20 numbers"),
        ({"initial_pose": (90.0,) * 20}, r"initial_pose\[0\] is 90.0, expected 20 numbers from -6.28"),
        ({"noise_floor": (1.0,) * 16, "gains": (1.0,) * 8}, "for 8 and 16 channels at once"),
    ],
)
def test_numbers_that_no_calibration_gives_are_refused(values, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Calibration(**values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "emgpose model"}, "expected a calibration"),
        ({"format_version": 2}, "format_version is 2, expected 1"),
        ({"tilt": 3}, "expected values for noise_floor, roll"),
        ({"quality": [1]}, "calibration quality: expected values for bad_channels"),
        ({"quality": {"restlessness": "some"}}, "restlessness"),
        ({"quality": {"bad_channels": ["a"]}}, "bad_channels must be channel numbers"),
        ({"gestures": 5}, "gestures must be a list"),
        ({"gestures": [{"name": "fist"}]}, "calibration gesture: expected values for name, levels, got name"),
        ({"gestures": [{"name": 7, "levels": [1.0]}]}, "name must be text"),
        ({"noise_floor": "loud"}, "noise_floor must be"),
    ],
)
def test_a_file_that_holds_something_else_is_refused_and_named(change, message: str, tmp_path) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps(FULL.to_dict() | change))
    with pytest.raises(ConfigError, match=message) as raised:
        Calibration.read(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("text", ["", "{", "\x00", "[" * 100_000])
def test_a_file_that_is_no_json_is_refused(text: str, tmp_path) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(DataError, match="is no JSON"):
        Calibration.read(path)


def test_a_file_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(DataError, match=r"none\.json: cannot read the calibration"):
        Calibration.read(tmp_path / "none.json")


@pytest.mark.parametrize("values", [[], None, "text", 3])
def test_json_that_is_no_object_is_refused(values) -> None:
    with pytest.raises(ConfigError, match="expected a calibration"):
        Calibration.from_dict(values)


def test_what_cannot_be_trusted_is_said_in_words() -> None:
    bad = CalibrationQuality(bad_channels=(2, 5), restlessness=3.0, roll_margin=0.05, likeness=0.2)
    said = Calibration(quality=bad).warnings
    assert len(said) == 4
    assert said[0].startswith("channels 2, 5 gave nothing at rest")
    assert "not still" in said[1]
    assert "usual place" in said[2]
    assert "unlike those of the earlier" in said[3]
