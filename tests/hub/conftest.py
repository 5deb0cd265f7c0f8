"""What every test of the Hub uses."""

import pytest

from emgpose.checkpoints import save_model
from fake_hub import hub
from small_models import small_model

__all__ = ["folder", "hub", "model_files"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A small multitask model's folder."""
    return save_model(small_model("emgpose50"), tmp_path_factory.mktemp("hub_model"))


@pytest.fixture
def model_files(folder):
    """Its files, as a repository holds them."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}
