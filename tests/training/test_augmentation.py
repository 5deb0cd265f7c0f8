"""Augmentation draws from (seed, epoch, window) alone, and does what it says."""

import numpy as np
import pytest
import torch

from emgpose.config import AugmentConfig
from emgpose.errors import ConfigError
from emgpose.simulation.aggressors import AGGRESSORS, apply_aggressor
from emgpose.training.augmentation import augment_emg, check_rotation


@pytest.fixture
def emg():
    return torch.from_numpy(np.random.default_rng(0).standard_normal((16, 600)).astype(np.float32))


def _turn(emg, turned):
    return next(turn for turn in range(-8, 9) if torch.equal(torch.roll(emg, turn, dims=0), turned))


def test_the_band_is_turned_by_every_allowed_number_of_electrodes_about_equally_often(emg):
    config = AugmentConfig(rotation=2)
    turns = [_turn(emg, augment_emg(emg, 0, 0, window, config)) for window in range(1000)]
    counts = {turn: turns.count(turn) for turn in range(-2, 3)}
    assert sum(counts.values()) == 1000
    # Five equal shares of 1000 have a standard deviation of 13.
    assert all(abs(count - 200) < 60 for count in counts.values())


def test_a_draw_depends_on_seed_epoch_and_window_only(emg):
    config = AugmentConfig(rotation=2, aggressor_probability=0.7)
    first = augment_emg(emg, 4, 5, 6, config)
    augment_emg(emg, 9, 9, 9, config)
    torch.manual_seed(1)
    np.random.default_rng(1).random()
    assert torch.equal(first, augment_emg(emg, 4, 5, 6, config))
    keys = [(4, 5, window) for window in range(20)]
    for other in ([(3, 5, w) for _, _, w in keys], [(4, 6, w) for _, _, w in keys]):
        assert any(
            not torch.equal(augment_emg(emg, *one, config), augment_emg(emg, *two, config))
            for one, two in zip(keys, other, strict=True)
        )


def test_the_turn_of_a_window_does_not_depend_on_whether_aggressors_are_drawn(emg):
    turned = AugmentConfig(rotation=3)
    also_spoilt = AugmentConfig(rotation=3, aggressor_probability=1.0, aggressors=["lost_channels"], max_severity=0.0)
    for window in range(20):
        assert torch.equal(augment_emg(emg, 1, 2, window, turned), augment_emg(emg, 1, 2, window, also_spoilt))


def test_nothing_to_do_gives_the_same_samples_and_never_changes_those_given(emg):
    before = emg.clone()
    assert augment_emg(emg, 0, 0, 0, AugmentConfig(rotation=0)) is emg
    for window in range(10):
        augment_emg(emg, 0, 0, window, AugmentConfig(rotation=2, aggressor_probability=1.0))
    assert torch.equal(emg, before)


def test_aggressors_spoil_the_share_of_windows_that_was_asked_for(emg):
    config = AugmentConfig(rotation=0, aggressor_probability=0.3, aggressors=["cross_talk"])
    spoilt = [augment_emg(emg, 0, 0, window, config) is not emg for window in range(1000)]
    assert abs(sum(spoilt) - 300) < 60


def test_a_spoilt_window_is_what_the_simulator_would_make_of_it(emg):
    config = AugmentConfig(rotation=0, aggressor_probability=1.0, aggressors=["clipping"], max_severity=0.8)
    spoilt = augment_emg(emg, 0, 0, 3, config)
    assert spoilt.shape == emg.shape
    assert spoilt.dtype == torch.float32
    assert spoilt.is_contiguous()
    # Clipping draws nothing, so the severity can be found again from the limits.
    limits = spoilt.abs().amax(dim=1)
    assert torch.equal(spoilt, torch.maximum(torch.minimum(emg, limits[:, None]), -limits[:, None]))
    strongest = apply_aggressor("clipping", emg.numpy().T, 2000.0, 0.8, np.random.default_rng(0)).T
    assert (limits.numpy() >= np.abs(strongest).max(axis=1)).all()


def test_an_empty_list_draws_from_all_aggressors_and_order_in_a_list_does_not_matter(emg):
    everything = AugmentConfig(aggressor_probability=1.0)
    named = AugmentConfig(aggressor_probability=1.0, aggressors=sorted(AGGRESSORS, reverse=True))
    for window in range(12):
        assert torch.equal(augment_emg(emg, 0, 1, window, everything), augment_emg(emg, 0, 1, window, named))


def test_every_aggressor_keeps_a_window_finite(emg):
    for name in AGGRESSORS:
        config = AugmentConfig(aggressor_probability=1.0, aggressors=[name], max_severity=1.0)
        assert torch.isfinite(augment_emg(emg, 0, 0, 0, config)).all(), name


def test_a_rotation_beyond_half_the_band_is_refused():
    check_rotation(AugmentConfig(rotation=8), 16)
    with pytest.raises(ConfigError, match=r"augment.rotation: expected 0 to 8 electrodes, half of the band's 16"):
        check_rotation(AugmentConfig(rotation=9), 16)
