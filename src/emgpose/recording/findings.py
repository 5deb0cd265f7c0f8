"""What a check finds, as values: findings, and the reports that hold them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from emgpose.json_values import json_values
from emgpose.recording.session import SessionFacts

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or may be.

    Parameters
    ----------
    severity : `error` or `warning`
        An error keeps the recording from being used; a warning asks for a look.
    code : str
        What kind of finding, for programs: see `emgpose.recording.check`.
    message : str
        What was expected, what came, and what to do.
    where : str
        The file, and the channel or column where that is known.
    """

    severity: Severity
    code: str
    message: str
    where: str

    def to_dict(self) -> dict[str, str]:
        """Give it as plain data for JSON."""
        return {"severity": self.severity, "code": self.code, "message": self.message, "where": self.where}


@dataclass(frozen=True)
class SessionReport:
    """What a check says of one recording.

    Parameters
    ----------
    path : str
    facts : SessionFacts or None
        None where the recording could not be opened.
    findings : tuple of Finding
    figures : dict
        Numbers behind the findings: `invalid_share`, `longest_valid_s`, `channels` (see `ChannelQuality`), ...
    """

    path: str
    facts: SessionFacts | None
    findings: tuple[Finding, ...] = ()
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def is_usable(self) -> bool:
        """Whether there is no error; warnings may remain."""
        return not any(finding.severity == "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data for JSON."""
        return {
            "path": self.path,
            "kind": "session",
            "facts": _facts_to_dict(self.facts) if self.facts else None,
            "findings": [finding.to_dict() for finding in self.findings],
            "figures": json_values(self.figures),
        }


@dataclass(frozen=True)
class DatasetReport:
    """What a check says of a folder of recordings.

    Parameters
    ----------
    path : str
    sessions : tuple of SessionReport
        One per recording, those missing included.
    own_findings : tuple of Finding
        Those about the metadata table and the folder.
    figures : dict
        `n_sessions`, `n_usable`, `hours`, `invalid_share`.
    """

    path: str
    sessions: tuple[SessionReport, ...]
    own_findings: tuple[Finding, ...] = ()
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything found: about the folder first, then per recording."""
        return tuple(self._all_findings())

    def _all_findings(self) -> Iterator[Finding]:
        yield from self.own_findings
        for session in self.sessions:
            yield from session.findings

    @property
    def is_usable(self) -> bool:
        """Whether there is no error in it anywhere."""
        return not any(finding.severity == "error" for finding in self._all_findings())

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data for JSON; `findings` holds those about the folder, each session its own."""
        return {
            "path": self.path,
            "kind": "dataset",
            "findings": [finding.to_dict() for finding in self.own_findings],
            "figures": json_values(self.figures),
            "sessions": [session.to_dict() for session in self.sessions],
        }


def _facts_to_dict(facts: SessionFacts) -> dict[str, Any]:
    return {
        "format": facts.format,
        "sample_rate_hz": facts.sample_rate_hz,
        "n_samples": facts.n_samples,
        "duration_s": facts.n_samples / facts.sample_rate_hz,
        "channel_names": list(facts.channel_names),
        "has_joint_angles": facts.has_joint_angles,
        "session": facts.session,
        "user": facts.user,
        "stage": facts.stage,
        "side": facts.side,
        "emg_unit": facts.emg_unit,
        "preprocessing": facts.preprocessing.to_config(),
        "notes": list(facts.notes),
    }
