"""The simulated arm as a live source."""

import numpy as np
import pytest

from emgpose.errors import ConfigError, SourceEnded
from emgpose.hand import JOINT_LIMITS_RAD
from emgpose.live.sources.opening import open_source
from emgpose.live.sources.simulated import DEFAULT_STAGE, SimulatedTrack
from emgpose.signals import EMG2POSE_PREPROCESSING

BLOCK_S = 3.0
N_BLOCKS = 3


def simulated(seconds=N_BLOCKS * BLOCK_S, packet=20, **options):
    track = SimulatedTrack(block_s=BLOCK_S, **options)
    chunks, done = [], 0
    while done < seconds * 2000:
        chunks.append(track.read(done, done + packet))
        done += len(chunks[-1].emg)
    track.close()
    return track.facts, chunks


@pytest.fixture(scope="module")
def three_blocks():
    facts, chunks = simulated()
    emg = np.concatenate([chunk.emg for chunk in chunks])
    angles = np.concatenate([chunk.joint_angles for chunk in chunks])
    return facts, chunks, emg, angles


def test_it_says_that_it_is_simulated_and_what_its_emg_has_had(three_blocks):
    facts = three_blocks[0]
    assert facts.name == f"simulate:{DEFAULT_STAGE}"
    assert facts.is_simulated
    assert (facts.sample_rate_hz, facts.n_channels, facts.emg_unit) == (2000.0, 16, "noise_floor")
    assert facts.preprocessing == EMG2POSE_PREPROCESSING


def test_samples_and_truth_follow_one_another_without_gaps(three_blocks):
    _, chunks, emg, angles = three_blocks
    assert emg.shape == (N_BLOCKS * 6000, 16)
    assert angles.shape == (N_BLOCKS * 6000, 20)
    assert [chunk.first_sample for chunk in chunks] == list(range(0, len(emg), 20))
    assert chunks[-1].time_s == pytest.approx((len(emg) - 1) / 2000)


def test_the_pose_never_jumps_where_blocks_join(three_blocks):
    angles = three_blocks[3]
    steps = np.abs(np.diff(angles, axis=0)).max(axis=1)
    borders = [6000 * number - 1 for number in range(1, N_BLOCKS)]
    # Simulated fingers move at up to about 29 rad/s; a jump would be hundreds.
    assert steps.max() < 35 / 2000
    assert steps[borders].max() <= np.quantile(steps, 0.999)
    assert (angles >= JOINT_LIMITS_RAD[:, 0] - 1e-6).all()
    assert (angles <= JOINT_LIMITS_RAD[:, 1] + 1e-6).all()


def test_the_hand_moves_in_every_block(three_blocks):
    angles = three_blocks[3].reshape(N_BLOCKS, 6000, 20)
    assert (np.ptp(angles, axis=1).max(axis=1) > 0.3).all()


def test_the_emg_has_no_step_and_no_hole_where_blocks_join(three_blocks):
    emg = three_blocks[2]
    power = (emg**2).mean(axis=1).reshape(-1, 80).mean(axis=1)
    steps = np.abs(np.diff(emg, axis=0)).max(axis=1)
    for border in (6000, 12_000):
        around = slice(border - 2, border + 82)
        assert steps[around].max() <= steps.max()
        at = border // 80
        assert power[at] > 0.25 * min(power[at - 1], power[at + 1])


def test_the_same_seed_gives_the_same_samples_and_another_gives_another_person(three_blocks):
    again = simulated(seconds=BLOCK_S + 1)[1]
    emg = np.concatenate([chunk.emg for chunk in again])
    assert np.array_equal(emg, three_blocks[2][: len(emg)])
    other = simulated(seconds=0.1, seed=1)[1]
    assert not np.array_equal(other[0].emg, again[0].emg)


def test_channels_can_be_chosen(three_blocks):
    facts, chunks = simulated(seconds=0.1, channels=(2, 0))
    assert facts.channel_names == ("emg2", "emg0")
    assert np.array_equal(chunks[0].emg, three_blocks[2][:20, [2, 0]])


def test_it_is_played_at_its_own_pace(clock):
    source = open_source("simulate:ShakaVulcanPeace", clock=clock, sleep=clock.sleep, channels=["emg1"])
    assert source.facts.name == "simulate:ShakaVulcanPeace"
    assert source.read(0.005) is None
    chunk = source.read(0.005)
    assert (chunk.first_sample, chunk.emg.shape) == (0, (20, 1))
    source.close()
    with pytest.raises(SourceEnded):
        source.read(0.0)


def test_an_unknown_stage_is_refused():
    with pytest.raises(ConfigError, match="stage 'Juggling': expected one of"):
        open_source("simulate:Juggling")


def test_a_negative_seed_is_refused():
    with pytest.raises(ConfigError, match="seed"):
        open_source("simulate", seed=-1)
