"""Fixtures for every test."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

# A shell starts jobs of the background with Ctrl-C ignored, and every process of theirs inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Narrow layers are too small to divide: threads gain nothing, and lose much where cores are shared."""
    import torch

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


# Software rendering, so that every machine draws alike; and nothing that asks the network.
CHROMIUM_ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium of the system; the test skips where it or playwright is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (extra: dev)")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs a chromium on the PATH")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        yield running
        running.close()
