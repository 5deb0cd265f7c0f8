"""`emgpose simulate`: a whole data set of simulated people, bands, movements and EMG."""

import time
from pathlib import Path
from typing import Annotated

import typer

from emgpose.cli.options import Json


def simulate(
    out: Annotated[Path, typer.Option("--out", help="Folder for the recordings and metadata.csv.")],
    users: Annotated[int, typer.Option(help="People; at least 3, for train, val and test.")] = 6,
    stages: Annotated[int, typer.Option(help="Stages, of 29; at least 2, a fifth of them held out.")] = 5,
    minutes: Annotated[float, typer.Option(help="Length of each recording.")] = 0.5,
    placements: Annotated[int, typer.Option(help="Placements of the band per user and hand.")] = 2,
    repeats: Annotated[int, typer.Option(help="Repeats of each stage per placement; at least 2.")] = 2,
    seed: Annotated[int, typer.Option(help="Same seed and options, same bytes.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes; they change no byte.")] = 1,
    motion: Annotated[
        Path | None, typer.Option("--motion", help="Recorded joint angles to move by, instead of simulated movement.")
    ] = None,
    motion_rate: Annotated[
        float | None, typer.Option("--motion-rate", help="Rate [Hz] of a motion file that does not say it (CSV).")
    ] = None,
    aggressor: Annotated[
        list[str] | None,
        typer.Option("--aggressor", help="Spoil every recording: NAME=SEVERITY (0 to 1); may be given several times."),
    ] = None,
    aggressor_share: Annotated[
        float, typer.Option("--aggressor-share", help="Length of the spoilt span as a share of the recording.")
    ] = 1.0,
    velocity_share: Annotated[
        float, typer.Option("--velocity-share", help="How much of the EMG follows velocity: a knob, not a finding.")
    ] = 0.4,
    json: Json = False,
) -> None:
    """Simulate a data set in the emg2pose format, split like the published one; run again to resume after a kill."""
    from emgpose.cli.terminal import progress_bar
    from emgpose.simulation.data_set import simulate_data_set

    started = time.monotonic()
    with progress_bar() as bar:
        task = bar.add_task("simulating", total=None)
        written = simulate_data_set(
            out,
            users=users,
            stages=stages,
            minutes=minutes,
            placements=placements,
            repeats=repeats,
            seed=seed,
            workers=workers,
            motion_file=motion,
            motion_rate_hz=motion_rate,
            aggressors=severities(aggressor),
            aggressor_share=aggressor_share,
            velocity_share=velocity_share,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    _report(out, len(written), 60 * minutes, time.monotonic() - started, json)


def severities(options: list[str] | None) -> dict[str, float]:
    """Read `--aggressor NAME=SEVERITY`.

    Raises
    ------
    ConfigError : not of that form, or a name given twice.
    """
    from emgpose.errors import ConfigError

    chosen: dict[str, float] = {}
    for option in options or []:
        name, _, number = option.partition("=")
        try:
            severity = float(number)
        except ValueError:
            raise ConfigError(f"--aggressor {option}: expected NAME=SEVERITY, such as power_line=0.5") from None
        if name in chosen:
            raise ConfigError(f"--aggressor {name}: given twice")
        chosen[name] = severity
    return chosen


def _report(out: Path, n_written: int, seconds: float, elapsed_s: float, json: bool) -> None:
    from emgpose.cli.terminal import out as console
    from emgpose.cli.terminal import print_json
    from emgpose.recording import read_metadata

    table = read_metadata(out)
    conditions = table["split"].str.cat(table["generalization"], sep=" ").str.strip()
    counts = {str(name): int(count) for name, count in conditions.value_counts(sort=False).items()}
    factor = n_written * seconds / elapsed_s
    if json:
        print_json(
            {
                "out": out,
                "recordings": len(table),
                "written": n_written,
                "hours": len(table) * seconds / 3600,
                "elapsed_s": elapsed_s,
                "times_real_time": factor if n_written else None,
                "conditions": counts,
            }
        )
        return
    console.print(f"{out}: {len(table)} recordings of {seconds:g} s, {len(table) * seconds / 3600:.2f} h", markup=False)
    console.print("; ".join(f"{name} {count}" for name, count in counts.items()), markup=False)
    speed = f" in {elapsed_s:.1f} s, {factor:.0f} times real time" if n_written else ""
    there = f"; {len(table) - n_written} were there already" if n_written < len(table) else ""
    console.print(f"{n_written} written{speed}{there}", markup=False)
