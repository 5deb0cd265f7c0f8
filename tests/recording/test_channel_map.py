import pickle

import numpy as np
import pytest

from emgpose.errors import ConfigError
from emgpose.recording import Session, open_session
from emgpose.recording.channel_map import ChannelMapReader, parse_channel_map


@pytest.fixture
def eight(tmp_path):
    emg = np.arange(80, dtype=np.float32).reshape(10, 8)
    np.savez(tmp_path / "rec.npz", emg=emg, joint_angles=np.ones((10, 20)), sample_rate_hz=2000.0)
    return open_session(tmp_path / "rec.npz")


def test_the_preset_gives_each_electrode_its_place_and_the_next() -> None:
    assert parse_channel_map("8to16") == (0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7)


def test_numbers_and_dashes_are_read_as_they_stand() -> None:
    assert parse_channel_map("3, -,0") == (3, None, 0)


def test_channels_stand_where_the_map_says_and_labels_stay(eight) -> None:
    mapped = Session(ChannelMapReader(eight.reader, (7, 0, 0)), eight.path)
    assert mapped.channel_names == ("emg7", "emg0#1", "emg0#2")
    np.testing.assert_array_equal(mapped.emg(), eight.emg()[:, [7, 0, 0]])
    np.testing.assert_array_equal(mapped.joint_angles(), eight.joint_angles())
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(mapped)).emg(2, 4), mapped.emg(2, 4))


@pytest.mark.parametrize(
    ("channel_map", "message"),
    [((0, 8), "names channel 8, use 0 to 7"), ((0, None), "map all of them"), ((), "map all of them")],
)
def test_a_map_beyond_the_channels_is_refused(eight, channel_map, message) -> None:
    with pytest.raises(ConfigError, match=message):
        ChannelMapReader(eight.reader, channel_map)


@pytest.mark.parametrize("text", ["8to32", "0,1,x", "0,,1", "0,1234567"])
def test_a_text_that_is_no_map_is_refused(text) -> None:
    with pytest.raises(ConfigError, match=r"expected channel numbers .*; or 8to16"):
        parse_channel_map(text)
