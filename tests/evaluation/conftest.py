"""Models and data for the tests of the evaluation."""

import pytest

from follower import Follower
from generated import generate_dataset


@pytest.fixture
def follower():
    return Follower().eval()


@pytest.fixture
def make_follower():
    return Follower


@pytest.fixture(scope="session")
def generated_root(tmp_path_factory):
    """A whole data set of 30 recordings; do not write to it."""
    root = tmp_path_factory.mktemp("generated")
    generate_dataset(root)
    return root
