"""The right muscles work, before the movement, and harder for faster movements."""

import dataclasses

import numpy as np
import pytest

from emgpose.errors import ConfigError
from emgpose.simulation.activation import DEFAULT_SHARES, ActivationShares, activations
from emgpose.simulation.anatomy import draw_user
from emgpose.simulation.muscles import MOVES, MUSCLES
from emgpose.simulation.streams import rng_for
from made_motion import FIST, OPEN, RATE_HZ, at_rest, step_to

# What each muscle answers for differs widely between people; these tests are about the average.
ANATOMY = dataclasses.replace(
    draw_user(rng_for(0, "user", 0)),
    muscle_moves=tuple(tuple(row) for row in MOVES.tolist()),
    strength=1.0,
    cocontraction=1.0,
)
NAMES = list(MUSCLES)


def held(change_rad, **options):
    """Activation of each muscle by name at the end of a movement."""
    return dict(zip(NAMES, activations(step_to(change_rad, **options), ANATOMY)[-1], strict=True))


def test_a_relaxed_hand_is_silent():
    assert np.all(activations(at_rest(), ANATOMY) == 0)


@pytest.mark.parametrize("finger", ["INDEX", "MIDDLE", "RING", "PINKY"])
def test_each_finger_is_flexed_by_its_own_flexors_and_extended_by_its_own_extensor(finger):
    joints = ("MCP_FE", "PIP_FE", "DIP_FE")
    flexed = held({f"{finger}_{joint}": 0.8 for joint in joints})
    extended = held({f"{finger}_{joint}": -0.5 for joint in joints})
    slips = ("INDEX", "MIDDLE", "RING", "PINKY")
    for flexor in ("FDP", "FDS"):
        assert max(slips, key=lambda slip: flexed[f"{flexor}_{slip}"]) == finger
        assert flexed[f"{flexor}_{finger}"] > 2 * flexed[f"EDC_{finger}"]
    assert max(slips, key=lambda slip: extended[f"EDC_{slip}"]) == finger
    assert extended[f"EDC_{finger}"] > 2 * extended[f"FDP_{finger}"]


@pytest.mark.parametrize(
    ("joint", "change", "muscle"),
    [
        ("THUMB_IP_FE", 0.8, "FPL"),
        ("THUMB_IP_FE", -0.8, "EPL"),
        ("THUMB_CMC_AA", -0.6, "APL"),
        ("THUMB_CMC_AA", 0.6, "ADP"),
        ("INDEX_MCP_AA", 0.4, "FDI"),
        ("PINKY_MCP_AA", -0.4, "HYPOTHENAR"),
        ("WRIST_FE", 0.8, "FCR"),
        ("WRIST_FE", -0.8, "ECR"),
        ("WRIST_RU", -0.5, "ECU"),
    ],
)
def test_a_muscle_works_in_its_direction_only(joint, change, muscle):
    towards, against = held({joint: change}), held({joint: -change})
    assert towards[muscle] > 0.02
    assert towards[muscle] > 3 * against[muscle]


def test_gripping_takes_flexors_and_wrist_extensors():
    free, loaded = held(FIST), held(FIST, load=0.5)
    for name in ("FDP_INDEX", "FDS_RING", "FPL", "ECR", "ECU"):
        assert loaded[name] > free[name] + 0.05


def test_activation_leads_the_movement_by_the_delay():
    shares = dataclasses.replace(DEFAULT_SHARES, delay_s=0.08 - ANATOMY.delay_s)
    at_once = dataclasses.replace(DEFAULT_SHARES, delay_s=max(0.0, -ANATOMY.delay_s))
    motion = step_to(FIST)
    lead = round((0.08 - max(0.0, ANATOMY.delay_s)) * RATE_HZ)
    early, prompt = activations(motion, ANATOMY, shares), activations(motion, ANATOMY, at_once)
    onset = [np.flatnonzero(activation.max(axis=1) > 1e-3)[0] for activation in (early, prompt)]
    assert onset[1] - onset[0] == pytest.approx(lead, abs=1)


def test_faster_movements_take_more_by_the_velocity_share():
    for velocity, expected in ((0.0, 1.0), (0.4, 1.2)):
        shares = dataclasses.replace(DEFAULT_SHARES, velocity=velocity, acceleration=0.0)
        slow, fast = (activations(step_to(FIST, move_s=move_s), ANATOMY, shares).max() for move_s in (1.5, 0.3))
        assert fast / slow == pytest.approx(1.0, abs=1e-6) if velocity == 0 else fast / slow > expected


def test_cocontraction_wakes_the_antagonists():
    alone, both = (
        activations(step_to(FIST), ANATOMY, dataclasses.replace(DEFAULT_SHARES, cocontraction=share, enslaving=0.0))
        for share in (0.0, 0.3)
    )
    extensor = NAMES.index("EDC_MIDDLE")
    assert alone[-1, extensor] == 0
    assert both[-1, extensor] > 0.01


def test_activation_stays_between_0_and_1():
    shares = dataclasses.replace(DEFAULT_SHARES, effort=5.0)
    for change in (FIST, OPEN):
        activation = activations(step_to(change, move_s=0.1, load=1.0), ANATOMY, shares)
        assert activation.min() >= 0
        assert activation.max() <= 1


@pytest.mark.parametrize("wrong", [{"velocity": -1.0}, {"delay_s": np.nan}, {"cocontraction": 2.0}, {"enslaving": 1.0}])
def test_impossible_shares_are_refused(wrong):
    with pytest.raises(ConfigError):
        ActivationShares(**wrong)
