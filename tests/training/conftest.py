"""What the tests of training share."""

import pytest
import torch

from generated import generate_dataset
from made_batches import small_data


@pytest.fixture(autouse=True)
def one_thread():
    """Small products gain nothing from threads, and lose much where cores are shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make():
    """Make data modules, and tear them down."""
    made = []

    def pose_data(*arguments, **options):
        made.append(small_data(*arguments, **options))
        return made[-1]

    yield pose_data
    for data in made:
        data.teardown()


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    """A data set of 4 training, 2 validation and 6 test recordings; do not write to it."""
    root = tmp_path_factory.mktemp("recordings")
    generate_dataset(root, n_train_users=2, n_val_users=1, n_test_users=1, n_stages=2, seconds=7.0)
    return root
