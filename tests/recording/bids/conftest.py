import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emgpose.conversion.bids import convert_to_bids
from generated import generate_dataset


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same small data set as HDF5 (`hdf5`) and BIDS (`bids`); not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    generate_dataset(folder / "hdf5", n_train_users=1, n_val_users=1, n_test_users=1, n_stages=2, seconds=2.3)
    convert_to_bids(folder / "hdf5", folder / "bids")
    return folder


@pytest.fixture
def recording(made: Path, tmp_path: Path) -> Path:
    """The BDF of one recording with its sidecars, in a folder of its own."""
    source = sorted((made / "bids").rglob("*_recording-left_emg.bdf"))[0]
    for path in source.parent.glob(f"{source.name.removesuffix('_emg.bdf')}_*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path / source.name


@pytest.fixture
def sidecar(recording: Path) -> Callable[..., None]:
    """Change what the sidecar says; None takes a key out."""

    def change(**values: Any) -> None:
        path = recording.with_name(recording.name.replace("_emg.bdf", "_emg.json"))
        content = {**json.loads(path.read_text()), **values}
        path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return change


@pytest.fixture
def header(recording: Path) -> Callable[[str, int, str], None]:
    """Change what the header says of one signal."""
    widths = {"label": 16, "transducer": 80, "unit": 8, "pmin": 8, "pmax": 8, "dmin": 8, "dmax": 8, "pre": 80, "n": 8}

    def change(name: str, signal: int, text: str) -> None:
        content = bytearray(recording.read_bytes())
        n_signals = int(content[252:256])
        names = list(widths)
        before = sum(widths[other] for other in names[: names.index(name)])
        at = 256 + n_signals * before + signal * widths[name]
        content[at : at + widths[name]] = text.encode("latin-1").ljust(widths[name])
        recording.write_bytes(bytes(content))

    return change
