"""What the engine keeps for every causal model: it is the offline stream, the past is fixed, state is everything."""

import contextlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.test_model_contract import STREAMING, narrow
from emgpose.checkpoints import load_model, save_model
from emgpose.errors import DataError, SourceEnded, StreamError
from emgpose.hand import REST_POSE_RAD
from emgpose.kinematics import HandModel
from emgpose.live.engine import Engine
from emgpose.live.engine_settings import EngineSettings
from emgpose.live.pose_frame import PoseFrame
from emgpose.live.sources.opening import open_source
from emgpose.models import EmgModel
from emgpose.prediction import choose_initial_pose, open_pose_writer, predict_recording
from emgpose.preprocessing import Preprocessing
from emgpose.recording import open_session, prepare_session
from generated import generate_session
from made_streams import PLAIN, RAW_SETTINGS, angles, chunk, chunks, cut, facts, made_emg, pushed, raw_facts
from small_models import small_model

pytestmark = pytest.mark.usefixtures("one_thread")

N_SAMPLES = 2_400
START = np.linspace(0.05, 0.4, 20).astype(np.float32)


def start_of(model: EmgModel) -> np.ndarray | None:
    return START if model.task == "tracking" else None


def engine_of(model: EmgModel, chosen: EngineSettings = PLAIN) -> Engine:
    return Engine(model, facts(), settings=chosen, initial_pose=start_of(model))


@pytest.mark.parametrize("name", STREAMING)
@settings(max_examples=2, deadline=None, derandomize=True)
@given(cuts=st.lists(st.integers(0, N_SAMPLES), max_size=60), first=st.integers(0, 10**9))
def test_the_engine_gives_what_predict_gives_in_mode_stream_for_any_chunks(
    name: str, cuts: list[int], first: int
) -> None:
    model, emg = narrow(name), made_emg(N_SAMPLES)
    offline = model.predict(emg, start_of(model), mode="stream")
    stream = [replace(part, first_sample=first + part.first_sample) for part in cut(emg, cuts)]
    ready = [frame for frame in pushed(engine_of(model), stream) if not frame.stale]
    assert len(ready) == model.frame_grid.n_frames(N_SAMPLES)
    # Where the offline track moves linearly from pose to pose, it reaches each one a step after it came.
    late = model.stride if model.stream_placing.is_linear else 0
    rows = np.array([frame.sample - first - model.left_context + late for frame in ready])
    known = rows < len(offline)
    assert known.sum() >= len(ready) - 1
    np.testing.assert_allclose(angles(ready)[known], offline[rows[known]], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", STREAMING)
@settings(max_examples=2, deadline=None, derandomize=True)
@given(edit=st.integers(0, N_SAMPLES - 1), cuts=st.lists(st.integers(0, N_SAMPLES), max_size=40))
def test_what_comes_later_changes_no_bit_of_a_frame(name: str, edit: int, cuts: list[int]) -> None:
    emg = made_emg(N_SAMPLES)
    edited = emg.copy()
    edited[edit:] = made_emg(N_SAMPLES - edit, seed=5) * 10
    edited[edit + 100 :, :12] = np.nan
    chosen = EngineSettings()
    before, after = (pushed(engine_of(narrow(name), chosen), cut(array, cuts)) for array in (emg, edited))
    assert len(before) == len(after)
    for one, other in zip(before, after, strict=True):
        if one.sample < edit:
            assert (one.index, one.sample, one.stale, one.reason) == (
                other.index,
                other.sample,
                other.stale,
                other.reason,
            )
            np.testing.assert_array_equal(one.joint_angles, other.joint_angles)
            np.testing.assert_array_equal(one.landmarks, other.landmarks)
            np.testing.assert_array_equal(one.quality, other.quality)


@pytest.mark.parametrize("name", STREAMING)
def test_state_goes_on_in_another_engine_bit_for_bit(name: str) -> None:
    model, emg = narrow(name), made_emg(N_SAMPLES + 1_000)
    # Faults before and after the break: what is remembered of them counts too.
    emg[2_000:2_395, 3] = np.clip(emg[2_000:2_395, 3], -0.5, 0.5)
    emg[2_390:, 5] = np.nan
    stream = cut(emg, [700, 703, 2_399, 2_411, 3_000])
    first, second = (engine_of(model, EngineSettings()) for _ in range(2))
    pushed(first, stream[:3])
    second.restore(first.state())
    expected, found = pushed(first, stream[3:]), pushed(second, stream[3:])
    assert len(found) == len(expected) > 0
    for one, other in zip(expected, found, strict=True):
        for field in ("joint_angles", "landmarks", "quality"):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
        assert replace(one, joint_angles=0, landmarks=0, quality=0) == replace(
            other, joint_angles=0, landmarks=0, quality=0
        )
    assert second.counts == first.counts


_CONTINUE = """
import sys
import numpy as np
from emgpose.checkpoints import load_model
from emgpose.live.engine import Engine
from made_streams import RAW_SETTINGS, angles, chunks, made_emg, pushed, raw_facts
folder = sys.argv[1]
engine = Engine(load_model(folder + "/model"), raw_facts(), settings=RAW_SETTINGS)
engine.restore(dict(np.load(folder + "/state.npz")))
frames = pushed(engine, chunks(made_emg(6_000) * 1e-5, 33)[91:])
np.savez(folder + "/found.npz", angles=angles(frames), index=[frame.index for frame in frames])
"""


def test_a_new_process_goes_on_with_the_same_frames(tmp_path: Path) -> None:
    save_model(small_model("emgpose50", scale=0.05), tmp_path / "model")
    engine = Engine(load_model(tmp_path / "model"), raw_facts(), settings=RAW_SETTINGS)
    stream = chunks(made_emg(6_000) * np.float32(1e-5), 33)
    pushed(engine, stream[:91])
    np.savez(tmp_path / "state.npz", **engine.state())
    expected = pushed(engine, stream[91:])
    tests = Path(__file__).resolve().parents[1]
    code = f"import sys; sys.path.insert(0, {str(tests)!r}); import torch; torch.set_num_threads(1)\n{_CONTINUE}"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=120)
    with np.load(tmp_path / "found.npz") as found:
        np.testing.assert_array_equal(found["angles"], angles(expected))
        np.testing.assert_array_equal(found["index"], [frame.index for frame in expected])
    assert not expected[-1].stale


def test_a_state_of_something_else_is_refused() -> None:
    engine = engine_of(small_model("tracking_vemg2pose"))
    state = engine.state()
    other = engine_of(small_model("tracking_emg2pose")).state()
    unscaled = replace(facts(), preprocessing=Preprocessing())
    lacks = {name: array for name, array in state.items() if not name.startswith("model.")}
    for wrong in ({}, {**state, "more.things": np.zeros(3)}, other, lacks, {**state, "frames.held": np.zeros(3)}):
        with pytest.raises(StreamError, match=r"state"):
            engine.restore(wrong)
    engine = Engine(small_model(), unscaled, settings=RAW_SETTINGS)
    engine.push(chunk(made_emg(100), 0, 100))
    broken = engine.state()
    broken["filters.0.sections"] = np.zeros((1, 2, 16))
    with pytest.raises(DataError, match="not the state of a Preprocessor"):
        Engine(small_model(), unscaled, settings=RAW_SETTINGS).restore(broken)


def replayed(path: Path, model: EmgModel) -> list[PoseFrame]:
    """The frames that the engine gives on a recording, played as fast as it can be read."""
    source = open_source(f"replay:{path}", speed=0)
    engine = Engine(model, source.facts, settings=PLAIN, initial_pose=REST_POSE_RAD)
    frames: list[PoseFrame] = []
    with contextlib.suppress(SourceEnded):
        while True:
            part = source.read(0.0)
            frames += engine.push(part) if part else []
    source.close()
    return frames


@pytest.mark.parametrize("name", ["emgpose50", "tracking_vemg2pose"])
def test_predict_in_mode_stream_equals_the_engine_on_the_replay(name: str, tmp_path: Path) -> None:
    model = small_model(name, scale=0.05)
    generate_session(tmp_path / "recording.hdf5", seconds=3.0)
    model.set_task("tracking")
    with (
        prepare_session(open_session(tmp_path / "recording.hdf5"), model.card.preprocessing) as session,
        open_pose_writer(tmp_path / "poses.npz", {}) as writer,
    ):
        start = choose_initial_pose("rest", session, model)
        predict_recording(session, model, writer, initial_pose=start, hand=HandModel.generic(), mode="stream")
    live = [frame for frame in replayed(tmp_path / "recording.hdf5", model) if not frame.stale]
    with np.load(tmp_path / "poses.npz") as predicted:
        np.testing.assert_array_equal(predicted["sample"], [frame.sample for frame in live])
        np.testing.assert_allclose(angles(live), predicted["joint_angles"], rtol=0, atol=1e-5)


def test_raw_emg_is_prepared_as_prepare_session_does(tmp_path: Path) -> None:
    model = small_model("emgpose50", scale=0.05)
    emg = made_emg(8_192) * np.float32(1e-5)
    np.savez(tmp_path / "raw.npz", emg=emg, sample_rate_hz=2048.0)
    with prepare_session(open_session(tmp_path / "raw.npz"), model.card.preprocessing, noise_floor=2e-6) as session:
        offline = model.predict(session.emg(), START, mode="stream")
    chosen = replace(RAW_SETTINGS, smoothing=None, joint_limits=False)
    live = pushed(Engine(model, raw_facts(), settings=chosen, initial_pose=START), chunks(emg, 37))
    ready = angles([frame for frame in live if not frame.stale])
    rows = np.arange(len(ready)) * model.stride
    np.testing.assert_allclose(ready, offline[rows], rtol=0, atol=1e-5)
    assert len(ready) > 50
