"""What brings a recording to what a model expects."""

import dataclasses
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emgpose.errors import ConfigError, DataError
from emgpose.hand import N_JOINTS
from emgpose.recording.opening import open_session
from emgpose.recording.prepared import prepare_session
from emgpose.recording.session import Session, SessionFacts
from emgpose.signals import (
    EMG2POSE_PREPROCESSING,
    Bandpass,
    Preprocessing,
    Preprocessor,
    Resample,
    Scale,
    estimate_noise_floor,
    resample,
)

FILTERS = Preprocessing((Resample(2000.0), Bandpass()))


class ArrayReader:
    """Arrays as a recording; notes which samples were read."""

    def __init__(self, emg: NDArray[Any], rate_hz: float, joint_angles: NDArray[Any] | None = None) -> None:
        self.values = {"emg": emg.astype(np.float32)}
        if joint_angles is not None:
            self.values["joint_angles"] = joint_angles.astype(np.float32)
        self.reads: list[tuple[int, int]] = []
        self.facts = SessionFacts(
            format="arrays",
            sample_rate_hz=rate_hz,
            n_samples=len(emg),
            channel_names=tuple(f"emg{channel}" for channel in range(emg.shape[1])),
            has_joint_angles=joint_angles is not None,
            session="made up",
            emg_unit="uV",
            start_s=100.0,
        )

    def read(self, start: int, stop: int, fields: frozenset[str]) -> dict[str, NDArray[Any]]:
        if "emg" in fields:
            self.reads.append((start, stop))
        return {name: array[start:stop] for name, array in self.values.items() if name in fields}

    def close(self) -> None:
        pass


def made_up(n_samples: int = 6000, rate_hz: float = 2048.0, n_channels: int = 3, seed: int = 0) -> Session:
    rng = np.random.default_rng(seed)
    emg = rng.standard_normal((n_samples, n_channels)) * np.linspace(5, 50, n_channels) + 300
    angles = np.cumsum(rng.standard_normal((n_samples, N_JOINTS)), axis=0) / 1000 + 0.5
    return Session(ArrayReader(emg, rate_hz, angles))


def had(session: Session, *steps: Any) -> Session:
    session.reader.facts = dataclasses.replace(session.facts, preprocessing=Preprocessing(steps))  # type: ignore[misc]
    return session


def test_a_recording_that_has_had_everything_is_returned_as_it_is() -> None:
    session = had(made_up(rate_hz=2000.0), Bandpass(), Scale())
    prepared = prepare_session(session, EMG2POSE_PREPROCESSING)
    assert prepared is session
    assert prepared.preparation.applied == Preprocessing()
    assert prepared.preparation.skipped == EMG2POSE_PREPROCESSING
    assert prepared.preparation.noise_floor == "had"
    assert prepared.preparation.describe().startswith("applied: none; already had: resample to 2000 Hz")


def test_everything_missing_is_applied_and_the_result_says_so() -> None:
    session = made_up()
    prepared = prepare_session(session, EMG2POSE_PREPROCESSING, noise_floor=[4.0, 5.0, 6.0])
    expected = Preprocessor(EMG2POSE_PREPROCESSING, 2048.0, 3, noise_floor=[4.0, 5.0, 6.0])
    emg = np.concatenate([expected.process(session.emg()), expected.flush()])
    np.testing.assert_allclose(prepared.emg(), emg, atol=1e-6)
    assert prepared.n_samples == len(emg) == 5860
    assert prepared.sample_rate_hz == 2000.0
    assert prepared.emg_unit == "noise_floor"
    assert prepared.preprocessing == EMG2POSE_PREPROCESSING
    assert prepared.preparation.describe() == (
        "applied: resample to 2000 Hz, band-pass 20-850 Hz (order 4), scale to a noise floor of SD 1; "
        "noise floor given; looks 30 recorded samples (14.6 ms) ahead"
    )
    assert prepared.preparation.to_dict()["noise_floor_sd"] == [4.0, 5.0, 6.0]


def test_only_what_is_missing_is_applied() -> None:
    session = had(made_up(rate_hz=2000.0), Bandpass())
    prepared = prepare_session(session, EMG2POSE_PREPROCESSING, noise_floor=2.0)
    np.testing.assert_array_equal(prepared.emg(), session.emg() / 2)
    assert prepared.preparation.applied == Preprocessing((Scale(),))
    assert prepared.preprocessing == Preprocessing((Bandpass(), Scale()))


def test_the_estimated_floor_scales_the_quietest_moments_to_one() -> None:
    prepared = prepare_session(made_up(20_000), EMG2POSE_PREPROCESSING)
    assert prepared.preparation.noise_floor == "estimated"
    assert "estimated" in prepared.preparation.describe()
    np.testing.assert_allclose(estimate_noise_floor([prepared.emg()], 2000.0), 1.0, rtol=2e-3)


def test_the_measured_floor_scales_the_rest_span_to_one() -> None:
    prepared = prepare_session(made_up(20_000), EMG2POSE_PREPROCESSING, rest_span=(1.0, 3.0))
    assert prepared.preparation.noise_floor == "measured"
    np.testing.assert_allclose(prepared.emg(2000, 6000).std(axis=0), 1.0, rtol=1e-3)


@pytest.mark.parametrize("span", [(1.0, 1.0), (-1.0, 1.0), (1.0, 99.0), (float("nan"), 1.0)])
def test_a_rest_span_outside_the_recording_is_refused(span: tuple[float, float]) -> None:
    with pytest.raises(DataError, match="rest_span must lie within"):
        prepare_session(made_up(), EMG2POSE_PREPROCESSING, rest_span=span)


def test_two_sources_for_the_floor_are_refused() -> None:
    with pytest.raises(ConfigError, match="not both"):
        prepare_session(made_up(), EMG2POSE_PREPROCESSING, noise_floor=1.0, rest_span=(0, 1))


def test_a_floor_that_is_not_needed_is_said_to_be_unused() -> None:
    prepared = prepare_session(had(made_up(), Scale()), EMG2POSE_PREPROCESSING, noise_floor=1.0)
    assert "not used" in prepared.preparation.describe()


@pytest.mark.parametrize("floor", [[1.0, 2.0], "loud", [[1.0, 2.0, 3.0]] * 2])
def test_a_floor_of_another_shape_is_refused(floor: Any) -> None:
    with pytest.raises(ConfigError, match=r"one per channel \(3\)"):
        prepare_session(made_up(), EMG2POSE_PREPROCESSING, noise_floor=floor)


# ---- reading


@settings(max_examples=25, deadline=None)
@given(ranges=st.lists(st.tuples(st.integers(0, 5860), st.integers(0, 5860)).map(sorted), min_size=1, max_size=8))
def test_any_range_in_any_order_is_a_part_of_the_whole(ranges: list[tuple[int, int]]) -> None:
    session = made_up()
    prepared = prepare_session(session, FILTERS)
    whole = prepare_session(session, FILTERS).read()
    for start, stop in ranges:
        part = prepared.read(start, stop)
        np.testing.assert_array_equal(part.emg, whole.emg[start:stop])
        np.testing.assert_array_equal(part.joint_angles, whole.joint_angles[start:stop])
        np.testing.assert_array_equal(part.valid, whole.valid[start:stop])


def test_going_back_far_starts_again_and_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emgpose.recording.prepared_reader._CACHE_SAMPLES", 1000)
    monkeypatch.setattr("emgpose.recording.prepared_reader.CHUNK_SAMPLES", 512)
    session = made_up()
    prepared = prepare_session(session, FILTERS)
    early, late = prepared.emg(0, 100), prepared.emg(5000, 5100)
    np.testing.assert_array_equal(prepared.emg(4500, 5100)[-100:], late)
    np.testing.assert_array_equal(prepared.emg(0, 100), early)
    assert [start for start, _ in session.reader.reads].count(0) == 2  # type: ignore[attr-defined]


def test_reading_in_order_reads_the_recording_once() -> None:
    session = made_up(100_000)
    prepared = prepare_session(session, FILTERS)
    for start in range(0, 90_000, 5000):
        prepared.emg(start, start + 6790)
    reads = session.reader.reads  # type: ignore[attr-defined]
    assert sum(stop - start for start, stop in reads) == 100_000


def test_a_prepared_session_survives_pickling_and_closing() -> None:
    prepared = prepare_session(made_up(), EMG2POSE_PREPROCESSING)
    expected = prepared.emg(100, 300)
    twin = pickle.loads(pickle.dumps(prepared))
    np.testing.assert_array_equal(twin.emg(100, 300), expected)
    assert twin.preparation == prepared.preparation
    prepared.close()
    np.testing.assert_array_equal(prepared.emg(100, 300), expected)


def test_memory_does_not_grow_with_the_recording() -> None:
    class Endless(ArrayReader):
        def read(self, start: int, stop: int, fields: frozenset[str]) -> dict[str, NDArray[Any]]:
            return {"emg": np.random.default_rng(start).standard_normal((stop - start, 3)).astype(np.float32)}

    def peak(n_samples: int) -> int:
        reader = Endless(np.zeros((1, 3)), 2048.0)
        reader.facts = dataclasses.replace(reader.facts, n_samples=n_samples)
        tracemalloc.start()
        for _ in prepare_session(Session(reader), EMG2POSE_PREPROCESSING).chunks():
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak(100_000)  # imports
    assert peak(600_000) < 1.1 * peak(200_000)


# ---- labels


def test_labels_and_times_are_interpolated_where_the_rate_changes() -> None:
    session = made_up()
    prepared = prepare_session(session, FILTERS)
    position = np.arange(prepared.n_samples) * 1.024
    for joint in (0, 19):
        expected = np.interp(position, np.arange(6000), session.joint_angles()[:, joint])
        np.testing.assert_allclose(prepared.joint_angles()[:, joint], expected, atol=1e-6)
    np.testing.assert_allclose(prepared.time_s(), 100 + np.arange(prepared.n_samples) / 2000, atol=1e-9)


def test_a_resampled_label_is_valid_only_if_both_neighbours_are() -> None:
    session = made_up()
    angles = session.reader.values["joint_angles"]  # type: ignore[attr-defined]
    angles[1000:2000] = 0
    angles[3000:3200, 5] = np.nan
    prepared = prepare_session(session, FILTERS)
    position = np.arange(prepared.n_samples) * 1.024
    left, right = np.floor(position + 1e-9).astype(int), np.minimum(np.ceil(position - 1e-9).astype(int), 5999)
    recorded = session.valid()
    np.testing.assert_array_equal(prepared.valid(), recorded[left] & recorded[right])
    assert np.isfinite(prepared.joint_angles()[prepared.valid()]).all()


def test_labels_are_untouched_where_the_rate_stays() -> None:
    session = made_up(rate_hz=2000.0)
    prepared = prepare_session(session, FILTERS)
    np.testing.assert_array_equal(prepared.joint_angles(), session.joint_angles())


def test_a_recording_without_labels_stays_without() -> None:
    prepared = prepare_session(Session(ArrayReader(np.ones((3000, 2)), 2048.0)), FILTERS)
    assert not prepared.has_joint_angles
    assert not prepared.read(10, 20).valid.any()
    assert len(prepared.read(10, 10).emg) == 0


# ---- refusals


def test_a_rate_that_lost_the_emg_band_is_refused() -> None:
    with pytest.raises(DataError, match=r"made up: sample_rate is 200 Hz, the model needs 2000 Hz; below 1000 Hz"):
        prepare_session(made_up(rate_hz=200.0), EMG2POSE_PREPROCESSING)


def test_a_rate_that_nothing_resamples_is_refused() -> None:
    with pytest.raises(DataError, match=r"sample_rate is 2048 Hz, the model needs 2000 Hz.*emgpose\.signals\.resample"):
        prepare_session(made_up(), Preprocessing((Bandpass(),)))


def test_a_lower_rate_is_taken_and_its_lack_is_noted() -> None:
    prepared = prepare_session(made_up(rate_hz=1000.0), EMG2POSE_PREPROCESSING)
    assert prepared.n_samples == 12_000
    assert "nothing above 500 Hz, the model expects 850 Hz" in prepared.preparation.describe()


def test_a_nan_is_named_with_session_channel_and_sample() -> None:
    session = made_up()
    session.reader.values["emg"][4321, 2] = np.nan  # type: ignore[attr-defined]
    with pytest.raises(DataError, match=r"^session made up: EMG channel 2 is nan at sample 4321"):
        prepare_session(session, EMG2POSE_PREPROCESSING)
    with pytest.raises(DataError, match=r"^session made up: EMG channel 2 is nan at sample 4321"):
        prepare_session(session, FILTERS).emg()


def test_a_dead_channel_is_named() -> None:
    session = made_up()
    session.reader.values["emg"][:, 1] = 7.0  # type: ignore[attr-defined]
    with pytest.raises(DataError, match=r"made up: the noise floor of channel\(s\) 1"):
        prepare_session(session, EMG2POSE_PREPROCESSING)


def test_a_recording_without_emg_is_refused() -> None:
    session = made_up()
    session.reader.facts = dataclasses.replace(session.facts, channel_names=())  # type: ignore[misc]
    with pytest.raises(DataError, match="expected EMG"):
        prepare_session(session, EMG2POSE_PREPROCESSING)


def test_resampling_a_session_is_resampling_its_array() -> None:
    session = made_up()
    prepared = prepare_session(session, Preprocessing((Resample(2000.0),)))
    np.testing.assert_array_equal(prepared.emg(), resample(session.emg(), 2048.0, 2000.0))


def test_real_wrist_emg_becomes_what_the_models_expect(shared: Path) -> None:
    pytest.importorskip("wfdb")
    with open_session(shared / "real/grabmyo/session1_participant1_gesture11_trial1.hea") as session:
        prepared = prepare_session(session, EMG2POSE_PREPROCESSING)
        assert (prepared.n_samples, prepared.n_channels, prepared.sample_rate_hz) == (10_000, 16, 2000)
        emg = prepared.emg()
        np.testing.assert_allclose(estimate_noise_floor([emg], 2000.0), 1, rtol=2e-3)
        assert 1 < emg.std() < 20
        assert np.abs(emg.mean(axis=0)).max() < 0.1
        assert prepared.preparation.applied == EMG2POSE_PREPROCESSING
