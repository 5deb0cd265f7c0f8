"""How the demo runs `emgpose` commands: several at once, with a line that says how far they are."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# Beside the interpreter that runs the demo; not resolved, because a virtual environment's python is a link.
EMGPOSE = Path(sys.executable).with_name("emgpose")
# How often a line is written where it cannot be overwritten: in a file or a pipe.
LOG_EVERY_S = 20
LINES_SHOWN = 8
WIDTH = 110


def run_step(what: str, commands: Mapping[str, Sequence[str]], logs: Path, progress: Callable[[], str]) -> None:
    """Run commands of `emgpose` at the same time until all have ended.

    Parameters
    ----------
    what : str
        Heading of the step.
    commands : mapping of name to arguments
        What each prints goes to `<name>.log`.
    logs : Path
        Folder of the logs.
    progress : callable
        Says in a few words how far they are.

    Raises
    ------
    SystemExit : one of them failed; says which and why, after the others were stopped.
    KeyboardInterrupt : passed on when all have stopped.
    """
    print(f"\n{what}")
    if not commands:
        print("  done before")
        return
    for arguments in commands.values():
        print(_shown(arguments))
    started_s = time.monotonic()
    processes = {name: _start(arguments, logs / f"{name}.log") for name, arguments in commands.items()}
    try:
        _watch(list(processes.values()), progress, started_s)
        # Before the others are stopped, which is no fault of theirs.
        failed = {name: code for name, process in processes.items() if (code := process.poll())}
    finally:
        _stop(list(processes.values()))
    for name, code in failed.items():
        raise SystemExit(_failure(commands[name], code, logs / f"{name}.log"))
    print(f"  done in {time.monotonic() - started_s:.0f} s")


def _shown(arguments: Sequence[str]) -> str:
    """Lay a command out as it could be typed."""
    lines = ["  $ emgpose"]
    for word in map(shlex.quote, arguments):
        if len(lines[-1]) + len(word) > WIDTH:
            lines.append("     ")
        lines[-1] += f" {word}"
    return " \\\n".join(lines)


def _start(arguments: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
    # One thread each: two commands on two cores would otherwise get in each other's way.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as file:
        # In a session of its own Ctrl-C does not reach it twice: from the terminal, and from `_stop`.
        return subprocess.Popen(
            [str(EMGPOSE), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def _watch(processes: "Sequence[subprocess.Popen[bytes]]", progress: Callable[[], str], started_s: float) -> None:
    """Say how far the commands are until all have ended, or one has failed."""
    overwrites = sys.stdout.isatty()
    said_s = started_s
    while any(process.poll() is None for process in processes) and not any(process.poll() for process in processes):
        now_s = time.monotonic()
        line = f"  {now_s - started_s:4.0f} s  {progress()}"
        if overwrites:
            print(f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)
        elif now_s - said_s >= LOG_EVERY_S:
            print(line)
            said_s = now_s
        time.sleep(0.5)
    if overwrites:
        print("\r\033[K", end="", flush=True)


def _stop(processes: "Sequence[subprocess.Popen[bytes]]") -> None:
    """Have those that still run save and end, as Ctrl-C does; a second Ctrl-C ends them at once."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    try:
        for process in processes:
            process.wait()
    except KeyboardInterrupt:
        for process in processes:
            process.kill()
        raise


def _failure(arguments: Sequence[str], code: int, log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LINES_SHOWN:]
    said = "\n".join(f"  {line}" for line in lines)
    return f"\nThe demo FAILED: emgpose {arguments[0]} ended with exit code {code} ({log}):\n{said}"
