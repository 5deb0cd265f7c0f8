"""Gather what the page of a prediction shows while the prediction runs, and write it."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError
from emgpose.kinematics import HandModel
from emgpose.pages import EmgEnvelope, Track, write_hand_page
from emgpose.prediction.run import PredictionReport, Rows
from emgpose.recording import Session

PAGE_RATE_HZ = 50


class PageCollector:
    """Keeps the first `span_s` seconds of rows (thinned to 50 Hz) and of EMG (as envelopes).

    Parameters
    ----------
    session : Session
        The prepared recording.
    span_s : float
        Seconds that the page shows, from the start of the recording.
    rate_hz : float
        Rows per second that will come.
    first_pose_s : float
        Time of the first row.

    Raises
    ------
    ConfigError : the span is not positive, or ends before the first pose.
    """

    def __init__(self, session: Session, span_s: float, rate_hz: float, first_pose_s: float) -> None:
        if not (span_s > 0 and math.isfinite(span_s)):
            raise ConfigError(f"--html-span {span_s:g}: expected a positive number of seconds")
        if span_s < first_pose_s:
            raise ConfigError(f"--html-span {span_s:g}: the first pose is at {first_pose_s:g} s; give a longer span")
        self._session, self._span_s = session, span_s
        self._every = max(1, int(rate_hz // PAGE_RATE_HZ))
        self._n_seen = 0
        self._rows: list[Rows] = []
        self._emg = EmgEnvelope(session.channel_names, session.sample_rate_hz, span_s, unit=session.emg_unit)

    def on_emg(self, start: int, emg: NDArray[np.float32]) -> None:
        """Take a block of prepared EMG (time, channel)."""
        del start  # blocks come in order and without gaps
        self._emg.add(emg)

    def on_rows(self, rows: Rows) -> None:
        """Take a block of predicted rows."""
        keep = slice(-self._n_seen % self._every, None, self._every)
        self._n_seen += len(rows.sample)
        if rows.time_s[0] > self._span_s:
            return
        truth = None if rows.recorded is None else rows.recorded[keep]
        valid = None if rows.valid is None else rows.valid[keep]
        self._rows.append(Rows(rows.sample[keep], rows.time_s[keep], rows.joint_angles[keep], truth, valid))

    def write(
        self, path: Path, report: PredictionReport, hand: HandModel, *, title: str, facts: Mapping[str, str]
    ) -> Sequence[str]:
        """Write the page and return what it says it omits."""
        time_s = np.concatenate([rows.time_s for rows in self._rows])
        tracks = [Track("predicted", time_s, np.concatenate([rows.joint_angles for rows in self._rows]))]
        recorded = [rows.recorded for rows in self._rows if rows.recorded is not None]
        valid = [rows.valid for rows in self._rows if rows.valid is not None]
        if recorded:
            tracks.append(Track("recorded", time_s, np.concatenate(recorded), np.concatenate(valid)))
        return write_hand_page(
            path,
            title=_printable(title),
            hand=hand,
            tracks=tracks,
            emg=self._emg,
            facts={name: _printable(fact) for name, fact in facts.items()},
            causal=report.causal,
            warnings=[_printable(warning) for warning in report.warnings],
            span_s=self._span_s,
            recording_s=self._session.duration_s,
        )


def _printable(text: str) -> str:
    """Spell out the bytes of a file name that are no UTF-8: a page holds none."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
