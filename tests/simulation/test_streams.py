"""Random streams are separate, and each is always the same."""

import numpy as np
import pytest

from emgpose.errors import ConfigError
from emgpose.simulation.streams import STREAMS, rng_for


def test_the_same_stream_gives_the_same_numbers():
    first, again = rng_for(3, "noise", "u1", 2), rng_for(3, "noise", "u1", 2)
    assert np.array_equal(first.random(100), again.random(100))


def test_seed_stream_and_every_key_matter():
    stated = [
        (0, "noise"),
        (1, "noise"),
        (0, "noise", 0),
        (0, "noise", 0, 0),
        (0, "noise", 1, 0),
        (0, "noise", 0, 1),
        (0, "noise", "0"),
        *((0, name, 0) for name in STREAMS if name != "noise"),
    ]
    first_numbers = {float(rng_for(*arguments).random()) for arguments in stated}
    assert len(first_numbers) == len(stated)


def test_drawing_from_one_stream_leaves_the_others_alone():
    untouched = rng_for(0, "motor_units", 5).random(10)
    rng_for(0, "noise", 5).random(1000)
    assert np.array_equal(rng_for(0, "motor_units", 5).random(10), untouched)


def test_large_seeds_are_not_cut():
    assert rng_for(2**40, "user").random() != rng_for(0, "user").random()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, "nosie"), "the streams are user, motion"),
        ((-1, "noise"), "at least 0"),
        ((0.5, "noise"), "whole number"),
        ((0, "noise", 0.5), "whole number or a text"),
        ((0, "noise", True), "whole number or a text"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        rng_for(*arguments)
