import base64
import json
import re

import numpy as np
import pytest

from emgpose.errors import ConfigError, DataError, ShapeError
from emgpose.hand import N_JOINTS
from emgpose.kinematics import HandModel
from emgpose.pages import EmgEnvelope, Track, write_hand_page

HAND = HandModel.generic()


def movement(n_poses=200, rate_hz=50.0, start_s=0.0):
    times_s = start_s + np.arange(n_poses) / rate_hz
    return times_s, 0.5 + 0.4 * np.sin(times_s[:, None] + np.arange(N_JOINTS))


def written(tmp_path, tracks, **more):
    path = tmp_path / "view.html"
    notes = write_hand_page(path, title="A page", hand=HAND, tracks=tracks, **more)
    text = path.read_text(encoding="utf-8")
    return text, json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1]), notes


def unpacked(payload):
    dtype = np.dtype(payload["dtype"]).newbyteorder("<")
    return np.frombuffer(base64.b64decode(payload["base64"]), dtype).reshape(payload["shape"])


def angles_in(data, track=0):
    return unpacked(data["tracks"][track]["angles"]) * np.array(data["tracks"][track]["scale_rad"])


def test_the_page_holds_the_angles_at_its_frames(tmp_path):
    times_s, angles = movement()
    _, data, _ = written(tmp_path, [Track("predicted", times_s, angles)])
    assert data["frames"] == {"rate_hz": pytest.approx(50), "start_s": 0, "n_frames": 200}
    assert np.abs(angles_in(data) - angles).max() < 3e-5
    assert data["tracks"][0]["valid_runs"] == [[0, 200]]


def test_faster_poses_are_thinned_to_50_hz_and_the_page_says_so(tmp_path):
    times_s, angles = movement(8000, 2000.0)
    _, data, notes = written(tmp_path, [Track("recorded", times_s, angles)])
    assert data["frames"]["n_frames"] == 200
    assert np.abs(angles_in(data) - angles[::40]).max() < 3e-5
    assert any("drawn at 50 Hz; they came at 2000 Hz" in note for note in notes)


def test_slower_poses_keep_their_own_rate(tmp_path):
    times_s, angles = movement(90, 29.968)
    _, data, _ = written(tmp_path, [Track("recorded", times_s, angles)])
    assert data["frames"]["rate_hz"] == pytest.approx(29.968)
    assert data["frames"]["n_frames"] == 90


def test_unusable_poses_are_shaded_and_hold_the_last_usable_one(tmp_path):
    times_s, angles = movement()
    valid = np.ones(200, dtype=bool)
    valid[50:60] = False
    angles[50:60] = 0
    angles[100] = np.nan
    _, data, _ = written(tmp_path, [Track("recorded", times_s, angles, valid)])
    assert data["tracks"][0]["valid_runs"] == [[0, 50], [60, 100], [101, 200]]
    assert np.abs(angles_in(data)[50:60] - angles[49]).max() < 3e-5
    assert np.abs(angles_in(data)[100] - angles[99]).max() < 3e-5


def test_a_track_that_starts_later_has_no_usable_pose_before(tmp_path):
    early, late = Track("recorded", *movement()), Track("predicted", *movement(100, start_s=1.0))
    _, data, _ = written(tmp_path, [late, early])
    assert data["tracks"][0]["valid_runs"] == [[50, 150]]
    assert data["tracks"][1]["valid_runs"] == [[0, 200]]


def test_a_track_without_any_usable_pose_is_drawn_flat_and_unusable(tmp_path):
    times_s, angles = movement()
    _, data, _ = written(tmp_path, [Track("recorded", times_s, np.full_like(angles, np.nan))])
    assert data["tracks"][0]["valid_runs"] == []
    assert not angles_in(data).any()


def test_the_page_shows_the_span_and_says_what_it_omits(tmp_path):
    text, data, notes = written(
        tmp_path,
        [Track("predicted", *movement(6000))],
        span_s=60,
        recording_s=300,
    )
    assert data["frames"]["n_frames"] == 3001
    assert notes == ("Shown: the first 60.0 s of 300.0 s.",)
    assert f"<li>{notes[0]}</li>" in text


def test_a_page_that_grows_too_large_shows_less_time_and_says_so(tmp_path):
    emg = EmgEnvelope([f"emg{i}" for i in range(16)], 2000, 120)
    emg.add(np.random.default_rng(0).standard_normal((240_000, 16)).astype(np.float32))
    full, _, _ = written(tmp_path, [Track("predicted", *movement(6000))], emg=emg, span_s=120)
    limit = len(full.encode()) - 600_000
    text, data, notes = written(tmp_path, [Track("predicted", *movement(6000))], emg=emg, span_s=120, max_bytes=limit)
    assert 0.95 * limit < len(text.encode()) <= limit
    assert 500 < data["frames"]["n_frames"] < 6000
    assert data["emg"]["minimum"]["shape"][0] * data["emg"]["column_s"] == pytest.approx(
        data["frames"]["n_frames"] / 50, abs=0.1
    )
    assert re.match(r"Shown: the first [\d.]+ s of 120.0 s \(the page may hold [\d.]+ MB\)\.", notes[0])


def test_a_minute_of_two_hands_and_16_channels_stays_under_two_megabytes(tmp_path):
    emg = EmgEnvelope([f"emg{i}" for i in range(16)], 2000, 60)
    emg.add(np.random.default_rng(0).standard_normal((120_000, 16)).astype(np.float32))
    text, _, _ = written(tmp_path, [Track(name, *movement(3000)) for name in ("predicted", "recorded")], emg=emg)
    assert len(text.encode()) < 2e6


def test_emg_is_stored_to_a_thousandth_of_its_range_with_gaps_marked(tmp_path):
    emg = EmgEnvelope(["a", "b"], 2000, 4, unit="uV")
    values = np.random.default_rng(1).standard_normal((8000, 2)).astype(np.float32) * 40
    values[:20, 1] = np.nan
    emg.add(values)
    _, data, _ = written(tmp_path, [Track("predicted", *movement())], emg=emg)
    highest = unpacked(data["emg"]["maximum"]) * data["emg"]["scale"]
    assert unpacked(data["emg"]["minimum"])[0, 1] == -32768
    assert np.abs(highest[1:] - emg.maximum[1 : len(highest)]).max() < 0.2
    assert data["emg"]["unit"] == "µV"


def test_the_header_names_model_hand_side_and_causality(tmp_path):
    text, _, _ = written(
        tmp_path,
        [Track("predicted", *movement())],
        facts={"Model": "tracking_vemg2pose"},
        causal=False,
        warnings=["Untrained weights."],
    )
    for shown in ("tracking_vemg2pose", HAND.name, "<dd>right</dd>", "not causal", "<li>Untrained weights.</li>"):
        assert shown in text


def test_text_cannot_leave_its_place(tmp_path):
    evil = "</script><script>alert(1)</script><!-- \"quoted\" 'it' & @@DATA@@"
    path = tmp_path / "view.html"
    emg = EmgEnvelope([evil], 2000, 4)
    emg.add(np.ones((8000, 1), dtype=np.float32))
    tracks = [Track(evil, *movement())]
    write_hand_page(path, title=evil, hand=HAND, tracks=tracks, emg=emg, facts={evil: evil}, warnings=[evil])
    text = path.read_text(encoding="utf-8")
    assert text.count("<script") == text.count("</script") == 2
    assert "<!--" not in text
    assert text.count("&lt;/script&gt;") == 2 * 5  # title twice, fact name and value, warning
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert data["tracks"][0]["name"] == evil
    assert data["emg"]["channels"] == [evil]


def test_the_page_refers_to_nothing_outside_itself(tmp_path):
    text, _, _ = written(tmp_path, [Track("predicted", *movement())])
    assert "default-src 'none'" in text
    assert not re.search(r"https?:|src=|href=|@import|url\(", text)


def test_a_failed_write_leaves_the_page_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "view.html"
    path.write_text("before")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(DataError, match="No space left"):
        write_hand_page(path, title="x", hand=HAND, tracks=[Track("predicted", *movement())])
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["view.html"]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="no_such_folder"):
        write_hand_page(
            tmp_path / "no_such_folder" / "view.html", title="x", hand=HAND, tracks=[Track("p", *movement())]
        )


def test_a_limit_below_one_second_is_refused(tmp_path):
    with pytest.raises(DataError, match="allow a larger page"):
        write_hand_page(tmp_path / "view.html", title="x", hand=HAND, tracks=[Track("p", *movement())], max_bytes=1000)


@pytest.mark.parametrize(
    ("times", "angles", "valid", "error"),
    [
        (np.arange(3.0), np.zeros((3, 19)), None, ShapeError),
        (np.arange(3.0), np.zeros((4, 20)), None, ShapeError),
        (np.arange(3.0), np.zeros((3, 20)), np.ones(2, bool), ShapeError),
        (np.zeros(3), np.zeros((3, 20)), None, DataError),
        (np.array([0.0, np.nan, 1.0]), np.zeros((3, 20)), None, DataError),
        (np.zeros(0), np.zeros((0, 20)), None, DataError),
    ],
)
def test_a_track_that_does_not_fit_together_is_refused(times, angles, valid, error):
    with pytest.raises(error, match="track 'recorded'"):
        Track("recorded", times, angles, valid)


@pytest.mark.parametrize(("n_tracks", "span_s"), [(0, 60), (5, 60), (1, 0), (1, float("nan"))])
def test_an_impossible_page_is_refused(tmp_path, n_tracks, span_s):
    tracks = [Track("p", *movement())] * n_tracks
    with pytest.raises(ConfigError, match="expected"):
        write_hand_page(tmp_path / "view.html", title="x", hand=HAND, tracks=tracks, span_s=span_s)
