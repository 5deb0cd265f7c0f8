"""Judge recordings and data sets before anything is trained or scored on them.

Codes of findings about a recording: `missing_file`, `truncated`, `unreadable`, `rate`, `channel_count`, `too_short`,
`clock`, `nan_channel`, `inf_channel`, `dead_channel`, `dead_span`, `duplicate_channel`, `saturated_channel`,
`power_line`, `noise_floor`, `electrode_lift`, `contact_artefact`, `motion_artefact`, `fatigue`, `sweat`, `cross_talk`,
`missing_joints`, `invalid_labels`, `no_test_window`, `angle_unit`, `angle_limits`.
About a data set: `metadata`, `no_metadata`, `no_recordings`, `unknown_file`, `metadata_mismatch`, `split_leak`.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from emgpose.errors import EmgPoseError
from emgpose.recording.bids import bids_root, refuse_unjoined, unjoined_recordings
from emgpose.recording.disturbances import disturbance_findings
from emgpose.recording.findings import DatasetReport, Finding, SessionReport
from emgpose.recording.labels import LabelMeter
from emgpose.recording.metadata import FILE_NAMES, advice_from_below, holds_table, read_metadata, session_path
from emgpose.recording.opening import FORMATS, open_session
from emgpose.recording.prepared import MIN_EMG_RATE_HZ
from emgpose.recording.quality import ChannelQuality, QualityMeter
from emgpose.recording.session import Session
from emgpose.recording.store import stored_session_at
from emgpose.timing import EMG_RATE_HZ

MODEL_CHANNELS: Final = 16
# No model gives a frame before 0.9 s of context.
SHORTEST_S: Final = 1.0
# A channel that does not change for half of the time is dead, one that does not for a moment was lost for it. A coarse
# converter repeats single samples (three in four at a step of three noise floors), so those count only near one.
DEAD_STUCK_SHARE: Final = 0.5
DEAD_FLAT_SHARE: Final = 0.9
DEAD_SPAN_S: Final = 0.25
# RMS against the median channel. The unused inputs of a real amplifier have a tenth.
DEAD_RMS_RATIO: Final = 1e-3
# Neighbours on a real monopolar band reach 0.9992.
DUPLICATE_CORRELATION: Final = 0.9999
# An unclipped channel touches its extremes a few times, a sine clipped at 99.999 % of its height 0.3 % of the time.
SATURATED_SHARE: Final = 2e-3
POWER_LINE_SHARE: Final = 0.3
# Where the noise floor of an EMG recording can lie, by unit; what is outside was scaled otherwise.
NOISE_FLOOR_RANGE: Final = {"noise_floor": (0.1, 100.0), "uV": (0.05, 500.0)}
# Stated rate against time stamps.
CLOCK_ERROR: Final = 0.01
# Endings looked for in a folder; those left out also belong to notes, tables and the second file of a record.
RECORDING_SUFFIXES: Final = tuple(
    suffix for kind in FORMATS for suffix in kind.suffixes if suffix not in (".dat", ".txt", ".tsv")
)


def check_session(
    path: Path | str, *, rate_hz: float | None = None, channels: Sequence[str | int] | None = None
) -> SessionReport:
    """Judge one recording. Memory does not grow with its length, and a broken file is a finding, not an error.

    Parameters
    ----------
    path : Path or str
    rate_hz : float, optional
        For files that do not state their rate.
    channels : sequence, optional
        EMG channels to use; see `open_session`.

    Returns
    -------
    SessionReport
    """
    path = Path(path)
    # A link to nowhere is the pointer of a file that was not fetched, of which the reader knows more to say.
    is_there = path.exists() or path.is_symlink() or stored_session_at(path) is not None
    if not is_there and not path.with_name(f"{path.name}.hea").exists():  # a WFDB record needs no ending
        return _missing(path)
    session: Session | None = None
    labels, meter = LabelMeter(), None
    try:
        with open_session(path, rate_hz=rate_hz, channels=channels) as session:
            meter = QualityMeter(session.n_channels, session.sample_rate_hz) if session.has_emg else None
            for piece in session.chunks():
                if meter is not None:
                    meter.update(piece.emg)
                if session.has_joint_angles:
                    labels.update(piece)
            elapsed_s = _elapsed_s(session)
    except Exception as error:  # whatever a broken file does, it must not stop the rest
        facts = session.facts if session is not None else None
        return SessionReport(str(path), facts, (_unreadable(path, error),))
    channel_figures = meter.channels() if meter is not None else ()
    findings = [*schema_findings(session, path), *_clock_findings(session, path, elapsed_s)]
    findings += _channel_findings(session, path, channel_figures)
    figures: dict[str, Any] = {"duration_s": session.duration_s}
    if session.has_joint_angles:
        partial = partial_findings(session, path)
        findings += partial or labels.findings(path, session.sample_rate_hz)
        figures |= labels.figures(session.sample_rate_hz)
    names = session.channel_names
    figures["channels"] = {name: quality.to_dict() for name, quality in zip(names, channel_figures, strict=True)}
    return SessionReport(str(path), session.facts, tuple(findings), figures)


def _missing(path: Path) -> SessionReport:
    message = "the file does not exist; fetch it, or take it out of the metadata table"
    try:
        refuse_unjoined(path)
    except EmgPoseError as error:
        message = str(error)
    return SessionReport(str(path), None, (Finding("error", "missing_file", message, str(path)),))


def _unreadable(path: Path, error: Exception) -> Finding:
    known = isinstance(error, EmgPoseError | OSError)
    message = str(error) if known else f"reading failed unexpectedly with {type(error).__name__}: {error}"
    code = "truncated" if "truncated file" in message or "file is incomplete" in message else "unreadable"
    return Finding("error", code, " ".join(message.split()), str(path))


def _elapsed_s(session: Session) -> float:
    """Seconds between the first and the last sample by the file's own time stamps."""
    first, last = session.time_s(0, 1), session.time_s(session.n_samples - 1, session.n_samples)
    return float(last[0]) - float(first[0])


def schema_findings(session: Session, path: Path) -> Iterator[Finding]:
    """Judge rate, channels and length of a recording, which its facts tell."""
    rate_hz, where = session.sample_rate_hz, str(path)
    if session.has_emg and rate_hz < MIN_EMG_RATE_HZ:
        message = (
            f"sample rate {rate_hz:g} Hz, the models need {EMG_RATE_HZ} Hz; below {MIN_EMG_RATE_HZ:g} Hz the band of "
            "surface EMG is lost: leave the recording out"
        )
        yield Finding("error", "rate", message, where)
    elif session.has_emg and session.facts.format.startswith("emg2pose") and rate_hz != EMG_RATE_HZ:
        message = f"sample rate {rate_hz:g} Hz, files of this format have {EMG_RATE_HZ} Hz; it will be resampled"
        yield Finding("warning", "rate", message, where)
    if session.has_emg and session.n_channels != MODEL_CHANNELS:
        message = f"{session.n_channels} EMG channels, the models need {MODEL_CHANNELS}; choose them with channels"
        yield Finding("error", "channel_count", message, where)
    if session.duration_s < SHORTEST_S:
        message = f"{session.duration_s:.3g} s long, the models need at least {SHORTEST_S:g} s; leave the recording out"
        yield Finding("error", "too_short", message, where)


def _clock_findings(session: Session, path: Path, elapsed_s: float) -> Iterator[Finding]:
    rate_hz, where = session.sample_rate_hz, str(path)
    expected_s = (session.n_samples - 1) / rate_hz
    if expected_s > SHORTEST_S and not abs(elapsed_s - expected_s) <= CLOCK_ERROR * expected_s:
        message = (
            f"time stamps span {elapsed_s:.6g} s, the samples at {rate_hz:g} Hz should span {expected_s:.6g} s; "
            "samples were lost or the stated rate is wrong: see the recorder's log"
        )
        yield Finding("warning", "clock", message, where)


def partial_findings(session: Session, path: Path) -> list[Finding]:
    """Name the joints that a recording has no angles of."""
    missing = session.facts.missing_joints
    if not missing:
        return []
    message = f"no angles of {', '.join(missing)}, so no sample has a label; it cannot be trained on or scored"
    return [Finding("error", "missing_joints", message, str(path))]


def _channel_findings(session: Session, path: Path, channels: Sequence[ChannelQuality]) -> Iterator[Finding]:
    typical_rms = float(np.median([quality.rms for quality in channels])) if channels else math.nan
    dead = [_is_dead(quality, typical_rms) for quality in channels]
    for channel, (name, quality) in enumerate(zip(session.channel_names, channels, strict=True)):
        where = f"{path}: channel {name}"
        yield from _number_findings(quality, where)
        if dead[channel]:
            message = (
                f"nothing moves: RMS {quality.rms:.3g}, {quality.flat_share:.0%} of the samples repeat the one before"
            )
            yield Finding("error", "dead_channel", f"{message}; check the electrode", where)
            continue
        stuck_s = quality.stuck_share * session.duration_s
        if stuck_s >= DEAD_SPAN_S:
            message = f"nothing moves for {stuck_s:.3g} s of the recording's {session.duration_s:.3g} s"
            yield Finding("warning", "dead_span", f"{message}; check the electrode and the connection", where)
        other = quality.closest_channel
        if other is not None and other < channel and quality.correlation > DUPLICATE_CORRELATION and not dead[other]:
            message = (
                f"the same signal as channel {session.channel_names[other]} (correlation {quality.correlation:.6f})"
            )
            yield Finding("warning", "duplicate_channel", f"{message}; check the wiring", where)
        if quality.extreme_share > SATURATED_SHARE:
            message = (
                f"{quality.extreme_share:.1%} of the samples lie at the extremes {quality.lowest:.4g} and "
                f"{quality.highest:.4g}; the amplifier was at its limit: lower the gain"
            )
            yield Finding("warning", "saturated_channel", message, where)
        if quality.power_line_share > POWER_LINE_SHARE:
            line_hz = max(quality.power_line_shares, key=lambda line: quality.power_line_shares[line])
            message = f"{quality.power_line_share:.0%} of the power is at {line_hz:g} Hz and its harmonics"
            yield Finding(
                "warning", "power_line", f"{message}; check reference and skin contact, or use a notch", where
            )
    yield from _floor_findings(session, path, [q for q, is_dead in zip(channels, dead, strict=True) if not is_dead])
    yield from disturbance_findings(session, path, channels)


def _number_findings(quality: ChannelQuality, where: str) -> Iterator[Finding]:
    first = f"first at sample {quality.first_bad_sample}; repair or leave out"
    if quality.n_nan:
        yield Finding("error", "nan_channel", f"{quality.n_nan} samples are NaN, {first}", where)
    if quality.n_inf:
        yield Finding("error", "inf_channel", f"{quality.n_inf} samples are infinite, {first}", where)


def _is_dead(quality: ChannelQuality, typical_rms: float) -> bool:
    if math.isnan(quality.lowest):  # nothing but NaN and Inf, which is said already
        return False
    # Rounding of a constant in float32 is no signal either.
    rounding = float(np.finfo(np.float32).eps) * abs(quality.offset)
    if quality.stuck_share > DEAD_STUCK_SHARE or quality.flat_share > DEAD_FLAT_SHARE:
        return True
    return quality.rms <= max(DEAD_RMS_RATIO * typical_rms, rounding)


def _floor_findings(session: Session, path: Path, channels: Sequence[ChannelQuality]) -> Iterator[Finding]:
    floors = [quality.noise_floor for quality in channels if math.isfinite(quality.noise_floor)]
    if not floors or session.emg_unit not in NOISE_FLOOR_RANGE:
        return
    lowest, highest = NOISE_FLOOR_RANGE[session.emg_unit]
    typical = float(np.median(floors))
    if not lowest <= typical <= highest:
        unit = "times the noise floor" if session.emg_unit == "noise_floor" else session.emg_unit
        message = (
            f"the quietest moments have {typical:.3g} {unit}, expected {lowest:g} to {highest:g}; the EMG has another "
            "unit or scale than the file says"
        )
        yield Finding("warning", "noise_floor", message, str(path))


def check_dataset(root: Path | str, *, on_progress: Callable[[int, int], None] | None = None) -> DatasetReport:
    """Judge every recording of a folder, and the folder against its metadata table.

    Parameters
    ----------
    root : Path or str
        Folder with a `metadata.csv` (or `emg2pose_metadata.csv`) and the files it names; without a table, every
        recording in the folder is judged.
    on_progress : callable, optional
        Called with (done, total) after each recording.

    Returns
    -------
    DatasetReport
    """
    root = Path(root)
    found = _recordings_in(root)
    rows, own = _read_rows(root, found)
    paths = sorted({*rows, *(path for path in found if not rows or path.suffix in (".hdf5", ".h5"))})
    if not paths:
        message = f"expected recordings ({', '.join(RECORDING_SUFFIXES)}), found none; give their folder"
        own.append(Finding("error", "no_recordings", message, str(root)))
    reports = []
    for done, path in enumerate(paths, start=1):
        reports.append(_with_row(check_session(path), rows.get(path)))
        if on_progress is not None:
            on_progress(done, len(paths))
    return DatasetReport(str(root), tuple(reports), tuple(own), _dataset_figures(reports))


def _read_rows(root: Path, found: Sequence[Path]) -> tuple[dict[Path, dict[str, Any]], list[Finding]]:
    """Read the metadata table: its rows by the file that they name, and what is wrong with it."""
    if not holds_table(root):
        advice = advice_from_below(root)
        if not advice and not any(path.suffix == ".hdf5" for path in found):
            return {}, []
        advice = advice or "fetch it with the data set"
        message = f"no {FILE_NAMES[0]}, so there are no splits to train or score on; {advice}"
        return {}, [Finding("warning", "no_metadata", message, str(root))]
    try:
        table = read_metadata(root)
    except EmgPoseError as error:
        return {}, [Finding("error", "metadata", str(error), str(root))]
    records = [{str(key): value for key, value in record.items()} for record in table.to_dict("records")]
    rows = {session_path(root, record): record for record in records}
    message = "not in the metadata table, so no split holds it; add a row or move the file away"
    unknown = [path for path in found if path not in rows and path.suffix in (".hdf5", ".h5")]
    bids = bids_root(root)
    unjoined = unjoined_recordings(bids, [record["filename"] for record in records]) if bids is not None else {}
    return rows, [
        *table_findings(records, root),
        *(Finding("warning", "unknown_file", message, str(path)) for path in unknown),
        *(Finding("error", "unknown_file", reason, str(root / name)) for name, reason in unjoined.items()),
    ]


def _recordings_in(root: Path) -> list[Path]:
    return sorted(
        path
        for path in root.rglob("*")
        if path.suffix in RECORDING_SUFFIXES
        and path.is_file()
        and not path.name.endswith("metadata.csv")
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )


def table_findings(rows: Sequence[dict[str, Any]], root: Path) -> Iterator[Finding]:
    """Look for users and stages that are called held out and are trained on."""
    for column, held_out_in in (("user", ("user", "user_stage")), ("stage", ("stage", "user_stage"))):
        trained = {row[column] for row in rows if row["split"] == "train"}
        held_out = {row[column] for row in rows if row["generalization"] in held_out_in}
        for name in sorted(trained & held_out):
            message = f"{column} {name} is in the training split and in a held-out-{column} condition; scores would lie"
            yield Finding("error", "split_leak", f"{message}: correct the table", f"{root}: metadata")


def _with_row(report: SessionReport, row: dict[str, Any] | None) -> SessionReport:
    """Add what the metadata table says otherwise than the file."""
    if row is None or report.facts is None:
        return report
    mismatches = []
    for column in ("user", "stage", "side", "session"):
        stated, own = row.get(column), getattr(report.facts, column)
        if own is not None and isinstance(stated, str) and stated and stated != own:
            mismatches.append(f"{column} is {own!r} in the file, {stated!r} in the metadata table")
    if not mismatches:
        return report
    message = f"{'; '.join(mismatches)}; correct whichever is wrong"
    finding = Finding("error", "metadata_mismatch", message, report.path)
    return SessionReport(report.path, report.facts, (*report.findings, finding), report.figures)


def _dataset_figures(reports: Sequence[SessionReport]) -> dict[str, Any]:
    labelled = [report.figures for report in reports if "n_valid" in report.figures]
    n_samples = sum(figures["n_samples"] for figures in labelled)
    n_valid = sum(figures["n_valid"] for figures in labelled)
    return {
        "n_sessions": len(reports),
        "n_usable": sum(report.is_usable for report in reports),
        "hours": sum(report.figures.get("duration_s", 0.0) for report in reports) / 3600,
        "invalid_share": 1 - n_valid / n_samples if n_samples else math.nan,
    }
