"""`emgpose convert`: other people's recordings into a data set, and data sets from one layout to another."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emgpose.cli.options import Channels, Json, RateHz, channel_list, number_list
from emgpose.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress

    from emgpose.conversion import ConversionSettings

_BIDS_FILE = "dataset_description.json"
_STORE_FILE = "store.json"


class Target(StrEnum):
    """What a conversion makes."""

    EMG2POSE = "emg2pose"
    BIDS = "bids"
    STORE = "store"


@dataclass
class Outcome:
    """What a conversion made, for the report."""

    made: int = 0
    kept: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)


def convert(
    source: Annotated[Path, typer.Argument(help="A recording, a folder of them, a data set, or a BIDS root.")],
    to: Annotated[Target, typer.Option("--to", help="What to make.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write to; nothing in it is written over.")],
    mapping: Annotated[
        Path | None, typer.Option("--mapping", help="What columns of CSV and Parquet mean: TOML, YAML or JSON.")
    ] = None,
    channels: Channels = None,
    channel_map: Annotated[
        str | None,
        typer.Option("--channel-map", help="8to16, or for each of the 16 channels the recorded one: 0,0,1,1,2,2,..."),
    ] = None,
    input_rate: RateHz = None,
    resample: Annotated[bool, typer.Option("--resample", help="Allow recordings of another rate than 2 kHz.")] = False,
    low_rate: Annotated[
        bool, typer.Option("--low-rate", help="With --resample: below 1 kHz too, where most of the band is lost.")
    ] = False,
    noise_floor: Annotated[
        str | None, typer.Option("--noise-floor", help="SD at rest after the filters: one, or one per channel.")
    ] = None,
    rest_span: Annotated[
        tuple[float, float] | None, typer.Option("--rest-span", help="START STOP (seconds) of a rest to measure it in.")
    ] = None,
    side: Annotated[str | None, typer.Option("--side", help="left or right, where recordings do not say.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="Who, where recordings do not say.")] = None,
    stage: Annotated[str | None, typer.Option("--stage", help="What was done, where recordings do not say.")] = None,
    split: Annotated[str, typer.Option("--split", help="train, val or test, for the metadata table.")] = "train",
    generalization: Annotated[
        str, typer.Option("--generalization", help="What was held out, for val and test: user, stage, user_stage.")
    ] = "",
    stream: Annotated[str | None, typer.Option("--stream", help="Name of the EMG stream of an XDF file.")] = None,
    database: Annotated[
        str | None,
        typer.Option("--database", help="Ninapro: DB2 or DB3, where no file or folder name tells."),
    ] = None,
    angles: Annotated[
        Path | None, typer.Option("--angles", help="Ninapro DB9 (file or folder): calibrated angles for DB2 and DB5.")
    ] = None,
    json: Json = False,
) -> None:
    """Convert recordings; run again to go on after a kill. Exit 1 where some could not be converted."""
    from emgpose.cli.live_parts import channel_places
    from emgpose.cli.terminal import progress_bar
    from emgpose.conversion import ConversionSettings
    from emgpose.recording import load_mapping

    floor, chosen = number_list("--noise-floor", noise_floor), channel_list(channels)
    settings = ConversionSettings(
        mapping=load_mapping(mapping) if mapping is not None else None,
        input_rate_hz=input_rate,
        channels=tuple(chosen) if chosen is not None else None,
        channel_map=channel_places(channel_map),
        resample=resample,
        low_rate=low_rate,
        noise_floor=tuple(floor) if floor is not None else None,
        rest_span_s=rest_span,
        side=side,
        user=user,
        stage=stage,
        split=split,
        generalization=generalization,
        stream=stream,
        database=database,
        angles=angles,
    )
    with progress_bar() as bar:
        outcome = _convert(source, to, out, settings, bar)
    _report(outcome, source, to, out, json)
    if outcome.left_out:
        raise typer.Exit(1)


def _convert(source: Path, to: Target, out: Path, settings: "ConversionSettings", bar: "Progress") -> Outcome:
    from emgpose.conversion import convert_by_way, is_data_set

    is_whole = is_data_set(source) and settings.is_plain
    if to is Target.EMG2POSE:
        if is_whole and (source / _BIDS_FILE).is_file():
            return _from_bids(source, out, bar)
        if is_whole and not (source / _STORE_FILE).is_file():
            raise ConfigError(f"{source}: is a data set in emg2pose files already; say what to change, or another --to")
        return _to_hdf5(source, out, settings, bar)
    if is_whole:
        return _onward(source, to, out, bar)
    first, last, done = convert_by_way(
        source, out, settings, lambda root: _onward(root, to, out, bar), on_progress=_shown(bar, "converting")
    )
    return Outcome(last.made, last.kept, [*first.left_out, *last.left_out], done)


def _to_hdf5(source: Path, out: Path, settings: "ConversionSettings", bar: "Progress") -> Outcome:
    from emgpose.conversion import convert_to_hdf5, what_was_done

    result = convert_to_hdf5(source, out, settings, on_progress=_shown(bar, "converting"))
    done = what_was_done([*result.written, *result.kept])
    return Outcome(len(result.written), len(result.kept), list(result.left_out), done)


def _from_bids(source: Path, out: Path, bar: "Progress") -> Outcome:
    from emgpose.conversion.bids import convert_bids_to_hdf5

    result = convert_bids_to_hdf5(source, out, on_progress=_shown(bar, "converting"))
    return Outcome(len(result.written), len(result.kept), list(result.left_out))


def _onward(root: Path, to: Target, out: Path, bar: "Progress") -> Outcome:
    """Bring a data set into the BIDS layout or a store."""
    if to is Target.BIDS:
        from emgpose.conversion.bids import convert_to_bids

        result = convert_to_bids(root, out, on_progress=_shown(bar, "writing BIDS"))
        return Outcome(len(result.written), len(result.kept), list(result.left_out))
    from emgpose.store import prepare_store

    show = _shown(bar, "writing the store")
    report = prepare_store(root, out, on_progress=lambda _, done, total: show(done, total))
    left_out = [(name, reason) for name, _, reason in report.left_out]
    return Outcome(report.n_written, report.n_sessions - report.n_written, left_out)


def _shown(bar: "Progress", what: str) -> "Callable[[int, int], None]":
    task = bar.add_task(what, total=None)
    return lambda done, total: bar.update(task, completed=done, total=total)


def _report(outcome: Outcome, source: Path, to: Target, out: Path, json: bool) -> None:
    from emgpose.cli.terminal import err, print_json
    from emgpose.cli.terminal import out as console

    for name, reason in outcome.left_out:
        err.print("left out:", style="bold yellow", end=" ")
        err.print(reason if name in reason else f"{name}: {reason}")
    if json:
        print_json(
            {
                "source": source,
                "to": to.value,
                "out": out,
                "written": outcome.made,
                "kept": outcome.kept,
                "left_out": [{"recording": name, "reason": reason} for name, reason in outcome.left_out],
                "done": outcome.done,
            }
        )
        return
    console.print(f"{out}: {outcome.made} written, {outcome.kept} were there, {len(outcome.left_out)} left out")
    for line, count in outcome.done.items():
        console.print(f"  {count} x {line}")
