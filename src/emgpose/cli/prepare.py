"""`emgpose prepare`: a folder of recordings into one compact, checksummed store."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emgpose.cli.options import Json

if TYPE_CHECKING:
    from emgpose.store import PrepareReport


def prepare(
    root: Annotated[Path, typer.Argument(help="Folder with a metadata.csv and its recordings, or the BIDS edition.")],
    out: Annotated[Path, typer.Option("--out", help="The store; made, gone on with, or brought up to date.")],
    workers: Annotated[int, typer.Option(help="Processes; they change no byte.")] = 1,
    dask: Annotated[
        str | None, typer.Option("--dask", metavar="ADDRESS", help="Use the workers of this Dask scheduler instead.")
    ] = None,
    float16: Annotated[bool, typer.Option("--float16", help="Round EMG to float16, with a loss.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="At the end compare every sample with its original.")
    ] = False,
    json: Json = False,
) -> None:
    """Prepare a store that trains faster and takes less disk; run again to resume after a kill. The originals stay."""
    from emgpose.cli.terminal import progress_bar
    from emgpose.store import prepare_store

    started = time.monotonic()
    with progress_bar() as bar:
        task = bar.add_task("preparing", total=None)
        report = prepare_store(
            root,
            out,
            workers=workers,
            dask=dask,
            float16=float16,
            verify=verify,
            on_progress=lambda doing, done, total: bar.update(task, description=doing, completed=done, total=total),
        )
    _print(report, time.monotonic() - started, json)
    if verify and not json:
        _say_verified(float16)
    if report.left_out:
        raise typer.Exit(1)


def _say_verified(float16: bool) -> None:
    from emgpose.cli.terminal import out

    out.print("verified: every sample is that of its original" + (", EMG rounded to float16" if float16 else ""))


def _print(report: "PrepareReport", elapsed_s: float, json: bool) -> None:
    from emgpose.cli.terminal import err, out, print_json

    if json:
        print_json(
            {
                "out": report.out,
                "recordings": report.n_sessions,
                "written": report.n_written,
                "samples": report.n_samples,
                "bytes": report.n_bytes,
                "elapsed_s": elapsed_s,
                "left_out": [
                    {"filename": name, "path": path, "reason": reason} for name, path, reason in report.left_out
                ],
            }
        )
    else:
        out.print(
            f"{report.out}: {report.n_sessions} recordings, {report.n_samples} samples, "
            f"{report.n_bytes / 1e6:.1f} MB ({report.n_bytes / report.n_samples:.1f} bytes a sample)"
        )
        out.print(
            f"{report.n_written} written in {elapsed_s:.1f} s" if report.n_written else "no recording had to be written"
        )
    for name, path, reason in report.left_out:
        err.print(f"left out: {name}: {reason.removeprefix(f'{path}: ')}")
    if report.left_out and not json:
        err.print(
            f"{len(report.left_out)} recordings are not in the store; left_out.json in it names them. Once they are "
            "mended, the same command takes them in"
        )
