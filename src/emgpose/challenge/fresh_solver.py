"""A submission run the way the challenge runs it: unpacked elsewhere, in a fresh process, without our emgpose."""

import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.challenge import solver_process
from emgpose.errors import DataError

_STAND_IN: Final = '''\
"""Stands in for the challenge's package, which only its servers have."""


class CompetSolver:
    """What submissions derive from."""

    name = None

    def load_model(self, meta):
        """To be written by the submission."""
        raise NotImplementedError
'''
_SHOWN_CHARACTERS: Final = 300


class FreshSolver:
    """A submission in a process of its own; use it as a context manager.

    Parameters
    ----------
    submission : Path
        The ZIP.

    Raises
    ------
    DataError : it is no ZIP, or its solver cannot be loaded.
    """

    def __init__(self, submission: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="emgpose-dry-run-")
        self._root = Path(self._folder.name)
        self._process: subprocess.Popen[str] | None = None
        self._errors = (self._root / "errors.txt").open("w+", encoding="utf-8", errors="backslashreplace")
        try:
            self._process = self._start(submission)
            self.facts = self._answer()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "FreshSolver":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process and remove what was unpacked."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._errors.close()
        self._folder.cleanup()

    def predict(self, emg: NDArray[np.float32], *, as_tensor: bool = False) -> tuple[NDArray[Any], float]:
        """Predict windows.

        Parameters
        ----------
        emg : array, shape (window, channel=16, time)
        as_tensor : bool
            Whether the submission gets a torch tensor instead of an array.

        Returns
        -------
        (what `predict` returned, as an array; how long it took [s])

        Raises
        ------
        DataError : it failed.
        """
        files = {"emg": self._root / "emg.npy", "angles": self._root / "angles.npy"}
        np.save(files["emg"], emg)
        answer = self._answer({name: str(path) for name, path in files.items()} | {"as_tensor": as_tensor})
        return np.load(files["angles"]), float(answer["predict_s"])

    def _start(self, submission: Path) -> "subprocess.Popen[str]":
        folder, stand_in = self._root / "submission", self._root / "stand_in"
        try:
            with zipfile.ZipFile(submission) as archive:
                archive.extractall(folder)
        except zipfile.BadZipFile as error:
            raise DataError(f"{submission}: not a ZIP: {error}") from None
        package = stand_in / "benchmark_utils"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "base_solver.py").write_text(_STAND_IN, encoding="utf-8")
        # Not -I: torch may lie in the user's own folder, or on PYTHONPATH.
        command = [sys.executable, "-P", solver_process.__file__, str(folder), str(stand_in)]
        pipe = subprocess.PIPE
        # Not in the folder that we are in: a submission must find its files by itself.
        return subprocess.Popen(  # noqa: S603 - this Python, our script
            command, stdin=pipe, stdout=pipe, stderr=self._errors, text=True, encoding="utf-8", cwd=self._root
        )

    def _answer(self, request: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a request, if there is one, and wait for the next answer."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise DataError("the dry run's process has ended")
        line = ""
        try:
            if request is not None:
                process.stdin.write(json.dumps(request) + "\n")
                process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            pass
        if not line:
            raise DataError(f"the dry run failed: {self._last_error()}; no submission was written")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_error(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1][:_SHOWN_CHARACTERS] if lines else "the submission's process ended without a message"
