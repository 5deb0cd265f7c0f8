"""No mutated file gives a traceback, a hang, a crash or a silently wrong number."""

import collections
import subprocess
import sys
import threading
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("mutated_files.py")
HANG_S = 60.0
# 10,000 in all; the unmarked test takes the first few of each kind.
COUNTS = {"hdf5": 4000, "csv": 2000, "metadata": 1500, "config": 1500, "weights": 500, "pose": 500}


def judged(kind: str, folder: Path, count: int) -> tuple[collections.Counter[str], list[str]]:
    """Outcomes of `count` mutated files, and what went wrong; a file that kills its process does not stop the rest."""
    outcomes: collections.Counter[str] = collections.Counter()
    faults: list[str] = []
    first = 0
    while first < count:
        command = [sys.executable, "-W", "ignore", str(PROGRAM), kind, str(folder), str(first), str(count)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            running = None
            timer = threading.Timer(HANG_S, process.kill)
            timer.start()
            for line in process.stdout:
                timer.cancel()
                timer = threading.Timer(HANG_S, process.kill)
                timer.start()
                word, number, *outcome = line.split(maxsplit=2)
                running = int(number) if word == "begin" else None
                if outcome:
                    outcomes[outcome[0].split()[0]] += 1
                    if outcome[0].startswith("FAULT"):
                        faults.append(f"{kind} {number}: {outcome[0].strip()}")
            timer.cancel()
        if running is None:
            assert process.returncode == 0, f"{kind}: the program itself failed after file {first}"
            break
        faults.append(f"{kind} {running}: the process died with {process.returncode}, or hung for {HANG_S:g} s")
        first = running + 1
    return outcomes, faults


@pytest.mark.parametrize("kind", COUNTS)
def test_a_few_mutated_files_are_refused_or_read_as_they_stand(kind, tmp_path):
    outcomes, faults = judged(kind, tmp_path, 60)
    assert faults == []
    assert sum(outcomes.values()) == 60
    assert outcomes["refused"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", COUNTS)
def test_thousands_of_mutated_files_are_refused_or_read_as_they_stand(kind, tmp_path):
    outcomes, faults = judged(kind, tmp_path, COUNTS[kind])
    print(kind, dict(outcomes))
    assert faults == []
    assert sum(outcomes.values()) == COUNTS[kind]
