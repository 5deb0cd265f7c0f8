"""Fixtures for every test."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """Golden files and real recordings beside the repository; the test skips where they are not."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("needs the golden files and real recordings in ../shared, which this checkout does not have")
    return folder


@pytest.fixture(scope="session")
def golden() -> Path:
    """What the published implementation computes (see tests/golden/README.md)."""
    return Path(__file__).resolve().parent / "golden"
