"""The process that a dry run starts: it loads an unpacked submission as the challenge would, and predicts on request.

Run as a script with `python -P`, because it must not import emgpose: the submission has to bring it. Requests and
answers are lines of JSON; arrays travel as .npy files. A file `stand_in` holds the package `benchmark_utils`.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any


class OnlyFromSubmission(importlib.abc.MetaPathFinder):
    """Lets emgpose be found in the submission's folder alone, however it is installed here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find emgpose and its modules; leave everything else to Python."""
        if fullname.split(".")[0] != "emgpose":
            return None
        places = [place for place in (sys.path if path is None else path) if Path(place).is_relative_to(self.folder)]
        found = importlib.machinery.PathFinder.find_spec(fullname, places)
        if found is None:
            raise ModuleNotFoundError(f"the submission does not bring the module {fullname}", name=fullname)
        return found


def load_submission(folder: Path) -> tuple[str, Any]:
    """Give the solver's name and what its `load_model` returns."""
    spec = importlib.util.spec_from_file_location("submission", folder / "submission.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder}: no submission.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    from benchmark_utils.base_solver import CompetSolver  # type: ignore[import-not-found]  # the stand-in

    if not issubclass(module.Solver, CompetSolver):
        raise TypeError("Solver is no CompetSolver")
    solver = module.Solver()
    return str(solver.name), solver.load_model({})


def main() -> None:
    """Answer requests until the input ends."""
    # What a submission prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    folder, stand_in = (Path(argument).resolve() for argument in sys.argv[1:3])
    sys.path.insert(0, str(stand_in))
    sys.meta_path.insert(0, OnlyFromSubmission(folder))
    started = time.perf_counter()
    name, model = load_submission(folder)
    _say(answers, {"name": name, "load_s": time.perf_counter() - started})
    import numpy as np

    for line in sys.stdin:
        request = json.loads(line)
        windows: Any = np.load(request["emg"])
        if request["as_tensor"]:
            import torch

            windows = torch.from_numpy(windows)
        started = time.perf_counter()
        angles = model.predict(windows)
        seconds = time.perf_counter() - started
        np.save(request["angles"], np.asarray(angles), allow_pickle=False)
        _say(answers, {"predict_s": seconds})


def _say(answers: Any, document: dict[str, Any]) -> None:
    answers.write(json.dumps(document) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
