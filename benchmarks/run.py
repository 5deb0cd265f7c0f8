"""`make bench`: every figure on one page, each script in a process of its own, one after another.

    python benchmarks/run.py [--threads N] [--only NAME ...] [--out FOLDER]

Prints the median of each figure with the lowest and highest repeat, what is wanted and whether it is met, and what ran
before: how busy other programs kept the machine, since that moves every figure. The page also goes to build/bench.md
and the figures to build/bench.json. Exits with 1 where a figure misses or a script fails. About ten minutes on two
cores; the comparison with braindecode takes part where that is installed.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from paired import FIGURES_VARIABLE, Figure

HERE = Path(__file__).resolve().parent
# A script that hangs must not keep the page from being printed.
LONGEST_S = 600
# Of all cores, kept busy by others right before a script starts.
BUSY_SHARE = 0.15
PACKAGES = ("emgpose", "torch", "numpy", "h5py", "braindecode")


@dataclass(frozen=True)
class Part:
    """One script with its arguments; those that compute with torch also take the threads."""

    name: str
    script: str
    arguments: tuple[str, ...] = ()
    takes_threads: bool = True


PARTS = (
    Part("start-up", "start_up.py", takes_threads=False),
    Part("prediction", "inference.py"),
    Part("prediction, one thread", "inference.py", ("--batch", "1", "--threads", "1"), takes_threads=False),
    Part("training", "training_step.py", ("--batch", "1", "8")),
    Part("training, batch 64", "training_step.py", ("--batch", "64", "--repeats", "3")),
    Part("live hop", "live_hop.py", ("--repeats", "3", "--seconds", "4"), takes_threads=False),
    Part("evaluation", "evaluation.py"),
    Part("simulation", "simulation_speed.py", takes_threads=False),
    Part("growth", "growth.py", ("--repeats", "2"), takes_threads=False),
    Part("braindecode", "against_braindecode.py", ("--repeats", "3")),
)


@dataclass
class Outcome:
    """What one script gave."""

    part: Part
    busy: float | None
    load: float
    seconds: float = 0.0
    code: int = 0
    figures: list[Figure] = field(default_factory=list)
    last_line: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the script ended well and all its figures are as wanted."""
        return self.code == 0 and all(figure.is_met for figure in self.figures)


def busy_share() -> float | None:
    """Share of all cores that is in use now; None where the system does not say (other than Linux)."""
    try:
        first = _cpu_times()
        time.sleep(0.5)
        second = _cpu_times()
    except OSError:
        return None
    spent = [after - before for before, after in zip(first, second, strict=True)]
    # Fields 3 and 4 are idle and waiting for the disk.
    return 1 - (spent[3] + spent[4]) / max(1, sum(spent))


def _cpu_times() -> list[int]:
    return [int(value) for value in Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]]


def run(part: Part, threads: int | None) -> Outcome:
    """Run a script and take its figures; what it prints is shown as it comes."""
    outcome = Outcome(part, busy_share(), os.getloadavg()[0])
    command = [sys.executable, str(HERE / part.script), *part.arguments]
    if threads and part.takes_threads:
        command += ["--threads", str(threads)]
    print(f"\n--- {part.name}: {' '.join(command[1:])}", file=sys.stderr, flush=True)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures.jsonl"
        environment = os.environ | {FIGURES_VARIABLE: str(path)}
        try:
            ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=LONGEST_S)
            outcome.code, printed = ended.returncode, ended.stdout
        except subprocess.TimeoutExpired as late:
            outcome.code, printed = 124, (late.stdout or b"").decode(errors="replace")
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    print(printed, file=sys.stderr, flush=True)
    outcome.last_line = printed.strip().splitlines()[-1] if printed.strip() else ""
    outcome.figures = [Figure(**json.loads(line)) for line in lines]
    outcome.seconds = time.perf_counter() - start
    return outcome


def cpu_name() -> str:
    """What the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def versions() -> str:
    """Python and the packages that are installed."""
    found = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


def page(outcomes: Sequence[Outcome], seconds: float, threads: int | None) -> str:
    """All figures as one page of Markdown."""
    lines = [
        f"# emgpose bench, {time.strftime('%Y-%m-%d %H:%M')}",
        "",
        f"{cpu_name()}, {os.cpu_count()} cores, threads: {threads or 'default'}; {platform.platform()}",
        f"{versions()}; {seconds / 60:.1f} minutes in all",
        "",
        "| figure | median | lowest to highest | wanted | |",
        "|---|---|---|---|---|",
    ]
    for outcome in outcomes:
        lines += [_row(figure) for figure in outcome.figures]
        # A script may say by its exit code what no figure of its says.
        if outcome.code and all(figure.is_met for figure in outcome.figures):
            lines.append(f"| {outcome.part.name}: ended with {outcome.code} | {outcome.last_line} | | | MISSED |")
        elif not outcome.figures:
            lines.append(f"| {outcome.part.name} | {outcome.last_line} | | | |")
    lines.append("")
    for outcome in outcomes:
        busy = "not known" if outcome.busy is None else f"{outcome.busy:.0%} of the cores"
        warning = "; BUSY: its figures say little" if (outcome.busy or 0) > BUSY_SHARE else ""
        lines.append(
            f"- {outcome.part.name}: {outcome.seconds:.0f} s; before: load {outcome.load:.1f}, in use {busy}{warning}"
        )
    missed = sum(not figure.is_met for outcome in outcomes for figure in outcome.figures)
    wanted = sum(figure.wanted is not None for outcome in outcomes for figure in outcome.figures)
    failed = [outcome.part.name for outcome in outcomes if not outcome.is_met]
    lines += ["", f"{wanted - missed} of {wanted} figures met" + (f"; see {', '.join(failed)}" if failed else "")]
    return "\n".join(lines) + "\n"


def _row(figure: Figure) -> str:
    spread = f"{min(figure.values):.3g} to {max(figure.values):.3g}" if len(figure.values) > 1 else ""
    wanted, _, verdict = figure.verdict.partition(": ")
    return f"| {figure.label} | {figure.median:.3g} {figure.unit} | {spread} | {wanted} | {verdict} |"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, help="torch's threads in every script (default: torch's own)")
    parser.add_argument("--only", nargs="+", choices=[part.name for part in PARTS], help="some parts")
    parser.add_argument("--out", type=Path, default=HERE.parent / "build", help="folder of bench.md and bench.json")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    outcomes = [run(part, options.threads) for part in PARTS if options.only is None or part.name in options.only]
    text = page(outcomes, time.perf_counter() - start, options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "bench.md").write_text(text, encoding="utf-8")
    content = {"cpu": cpu_name(), "cores": os.cpu_count(), "versions": versions(), "parts": list(map(asdict, outcomes))}
    (options.out / "bench.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    print(text)
    return 0 if all(outcome.is_met for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
