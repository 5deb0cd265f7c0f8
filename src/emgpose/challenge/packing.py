"""A submission to the challenge: a ZIP of submission.py, the weights, and the parts of emgpose that they need.

| in the ZIP | what |
|---|---|
| submission.py | `class Solver(CompetSolver)` |
| weights/ | the model folder, as `emgpose.load_model` reads it |
| sources/emgpose/ | the modules that the model needs, unchanged |
| sources/LICENSE | their licence, Apache-2.0 |

The same model and the same emgpose give the same bytes.
"""

import re
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from emgpose.atomic import atomic_file, require_writable
from emgpose.challenge.predictor import Start, WindowPredictor, require_regression
from emgpose.challenge.sources import licence_text, needed_sources
from emgpose.checkpoints import save_model
from emgpose.errors import ConfigError
from emgpose.models import EmgModel
from emgpose.preprocessing import EMG2POSE_PREPROCESSING, missing_steps
from emgpose.timing import EMG_RATE_HZ
from emgpose.version import __version__

SUBMISSION_FILE: Final = "submission.py"
_PREDICTOR: Final = "emgpose.challenge.predictor"
# The ZIP format cannot hold an earlier time; a fixed one keeps the bytes the same.
_ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)
_SUBMISSION: Final = Template('''\
"""Submission to the NeurIPS 2026 EEG/EMG challenge, track 4 (EMG to pose), made by emgpose $version.

Beside this file lie the weights and, in sources/, the parts of emgpose that run them (Apache-2.0). Needed from outside,
these or newer: Python 3.11, torch 2.6, numpy 2.0, scipy 1.14, safetensors 0.5.
"""

import sys
from pathlib import Path

from benchmark_utils.base_solver import CompetSolver

HERE = Path(__file__).resolve().parent
VERSION = $version_literal
if str(HERE / "sources") not in sys.path:
    sys.path.insert(0, str(HERE / "sources"))


class Solver(CompetSolver):
    """$model: windows of EMG (window, 16, time) to joint angles (window, 20, time) [rad], each window by itself."""

    name = $name

    def load_model(self, meta):
        """Return an object with `predict`; `meta` is not needed."""
        from emgpose.challenge.predictor import load_predictor
        from emgpose.version import __version__

        if __version__ != VERSION:
            raise ImportError(f"emgpose {__version__} is loaded already; this submission carries {VERSION}")
        return load_predictor(HERE / "weights", start=$start)
''')


@dataclass(frozen=True)
class Pack:
    """What was packed.

    Parameters
    ----------
    path : Path
    n_bytes : int
    n_source_files : int
        Files of emgpose inside.
    notes : tuple of str
        What a participant must know before handing it in.
    """

    path: Path
    n_bytes: int
    n_source_files: int
    notes: tuple[str, ...]


def pack_challenge(
    model: EmgModel,
    out: str | Path,
    *,
    name: str | None = None,
    start: Start = "mirror",
    force: bool = False,
    check: Callable[[Path], None] | None = None,
) -> Pack:
    """Write a model as a submission.

    Parameters
    ----------
    model : EmgModel
        Regression, or multitask, which is set to regression.
    out : path
        The ZIP.
    name : str, optional
        What the submission calls itself; the model's name by default.
    start : "mirror", "zeros" or "hold"
        How a window begins; see `WindowPredictor`.
    force : bool
        Whether a file that is there may be replaced.
    check : callable, optional
        Sees the finished ZIP under a temporary name; what it raises keeps the ZIP from getting its name.

    Raises
    ------
    ConfigError : a model that cannot take part, a name that is none, or a file in the way.
    DataError : the ZIP cannot be written.
    """
    out = Path(out)
    name = model.name if name is None else name
    _require_fit(model, name)
    if out.exists() and not out.is_dir() and not force:
        raise ConfigError(f"{out}: it exists already; choose another name, or replace it with --force")
    require_writable(out)
    content, n_source_files = submission_files(model, name, start)
    with atomic_file(out) as unfinished:
        _write_zip(unfinished, content)
        if check is not None:
            check(unfinished)
    return Pack(out, out.stat().st_size, n_source_files, tuple(_notes(model)))


def submission_files(model: EmgModel, name: str, start: Start) -> tuple[dict[str, bytes], int]:
    """Give the files of a submission by their names in the ZIP, and how many of them are emgpose's own."""
    sources = needed_sources(_PREDICTOR)
    WindowPredictor(model, start)
    submission = _SUBMISSION.substitute(
        version=__version__, version_literal=repr(__version__), name=repr(name), model=name, start=repr(start)
    )
    content = {SUBMISSION_FILE: submission.encode(), "sources/LICENSE": licence_text()}
    content |= {f"sources/{path}": text for path, text in sources.items()}
    with tempfile.TemporaryDirectory() as folder:
        for file in sorted(save_model(model, folder).iterdir()):
            content[f"weights/{file.name}"] = file.read_bytes()
    return content, len(sources)


def _require_fit(model: EmgModel, name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}", name):
        raise ConfigError(
            f"name {name!a}: expected at most 64 letters, digits, spaces, dots, dashes and underscores; "
            "give another with --name"
        )
    require_regression(model)
    missing, _ = missing_steps(model.card.preprocessing, EMG2POSE_PREPROCESSING, EMG_RATE_HZ)
    if len(missing):
        raise ConfigError(
            f"{model.name} was trained on EMG with a step that the challenge's EMG has not had: {missing.describe()}; "
            "use a model trained on EMG as emg2pose has it"
        )


def _notes(model: EmgModel) -> list[str]:
    """Say what is doubtful about handing this model in; the challenge's EMG is recorded."""
    doubt = model.card.doubt(is_simulated=False)
    notes = [f"the EMG of the challenge is recorded: {doubt}"] if doubt else []
    unknown, _ = missing_steps(EMG2POSE_PREPROCESSING, model.card.preprocessing, EMG_RATE_HZ)
    if len(unknown):
        notes.append(f"the EMG of the challenge has had a step that the model's has not: {unknown.describe()}")
    if not model.card.licence:
        notes.append("the model's card states no licence; make sure that the weights may be handed in")
    return notes


def _write_zip(path: Path, content: Mapping[str, bytes]) -> None:
    # Stored: compressed bytes would differ between versions of zlib.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(content):
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, content[name])
