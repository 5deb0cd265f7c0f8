"""People and bands differ as stated, and survive being written down."""

import json

import numpy as np
import pytest

from emgpose.errors import ConfigError
from emgpose.simulation.anatomy import (
    ELECTRODE_STEP_RAD,
    N_ELECTRODES,
    NEUTRAL_PLACEMENT,
    PLACEMENT_KINDS,
    Placement,
    UserAnatomy,
    draw_placement,
    draw_user,
)
from emgpose.simulation.muscles import MOVES, MUSCLES
from emgpose.simulation.streams import rng_for

PEOPLE = [draw_user(rng_for(0, "user", number)) for number in range(40)]


def test_an_anatomy_survives_json():
    for anatomy in PEOPLE[:3]:
        assert UserAnatomy.from_dict(json.loads(json.dumps(anatomy.to_dict()))) == anatomy


def test_everybody_is_different_and_plausible():
    assert len(set(PEOPLE)) == len(PEOPLE)
    for anatomy in PEOPLE:
        radius_mm = anatomy.wrist_circumference_mm / (2 * np.pi)
        assert 0.5 < anatomy.fat_mm < 8
        assert 130 < anatomy.wrist_circumference_mm < 200
        assert 150 < anatomy.hand_length_mm < 225
        assert 3.0 < anatomy.velocity_m_s < 5.0
        assert min(anatomy.muscle_depth_mm) > 0
        assert anatomy.fat_mm + max(anatomy.muscle_depth_mm) < 1.4 * radius_mm


def test_large_hands_go_with_thick_wrists():
    sizes = np.array([(anatomy.hand_length_mm, anatomy.wrist_circumference_mm) for anatomy in PEOPLE])
    assert np.corrcoef(sizes.T)[0, 1] > 0.4


def test_a_person_moves_the_same_joints_with_a_muscle_in_the_same_direction():
    for anatomy in PEOPLE[:5]:
        assert np.array_equal(np.sign(anatomy.muscle_moves), np.sign(MOVES))


def test_every_joint_is_moved_both_ways_and_flexed_by_what_extends_it_not():
    assert (MOVES.max(axis=0) > 0).all()
    both_ways = MOVES.min(axis=0) < 0
    assert both_ways.all()
    assert len(MUSCLES) == len(MOVES)


@pytest.mark.parametrize(
    "broken",
    [
        {"fat_mm": "thick"},
        {"muscle_size": [1.0]},
        {"muscle_moves": [[0.0]]},
        {"muscle_angle_rad": 3},
        {"fat_mm": None},
        {"colour": 1.0},
    ],
)
def test_a_broken_anatomy_is_refused(broken):
    with pytest.raises(ConfigError):
        UserAnatomy.from_dict({**PEOPLE[0].to_dict(), **broken})


def test_a_missing_value_of_an_anatomy_is_named():
    values = PEOPLE[0].to_dict()
    del values["fat_mm"]
    with pytest.raises(ConfigError, match="fat_mm"):
        UserAnatomy.from_dict(values)


def test_placements_spread_as_their_kind_states():
    for kind, (rotation, shift, gain) in PLACEMENT_KINDS.items():
        placements = [draw_placement(rng_for(0, "placement", number), kind) for number in range(200)]
        turns = np.array([placement.rotation_rad for placement in placements]) / ELECTRODE_STEP_RAD
        assert np.std(turns) == pytest.approx(rotation, rel=0.2)
        assert np.std([placement.shift_mm for placement in placements]) == pytest.approx(shift, rel=0.2)
        assert np.std(np.log([placement.gains for placement in placements])) == pytest.approx(gain, rel=0.2)
    assert draw_placement(rng_for(0, "placement"), "neutral") == NEUTRAL_PLACEMENT


def test_an_unknown_kind_of_placement_is_named():
    with pytest.raises(ConfigError, match="neutral, careful, worn"):
        draw_placement(rng_for(0, "placement"), "upside down")


@pytest.mark.parametrize(
    "wrong",
    [
        {"gains": (1.0,) * 15},
        {"gains": (-1.0,) * N_ELECTRODES},
        {"gains": (np.nan,) * N_ELECTRODES},
        {"rotation_rad": np.inf},
        {"shift_mm": np.nan},
    ],
)
def test_impossible_placements_are_refused(wrong):
    with pytest.raises(ConfigError):
        Placement(**wrong)
