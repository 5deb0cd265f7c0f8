"""An unfinished file: `NAME.part` with what has come, and `NAME.part.json` with what it is a part of."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from emgpose.download.bookkeeping import replace_text, sync_folder
from emgpose.download.remote_version import RemoteVersion
from emgpose.errors import DataError


class PartialFile:
    """What has come of a file so far.

    Only bytes that were synced to the disk, and whose number the state file knows, count after a kill or a power cut:
    the rest is fetched again.

    Parameters
    ----------
    target : Path
        The name that the file gets when it is complete.
    start : int
        Where the file begins in the remote one.

    Attributes
    ----------
    n_bytes : int
        How many bytes have come.
    version : RemoteVersion or None
        What they are a part of; None before the first answer.
    """

    def __init__(self, target: Path, start: int) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}.part")
        self._state_path = target.with_name(f"{target.name}.part.json")
        self._start = start
        self._synced = 0
        self.n_bytes = 0
        self.version: RemoteVersion | None = None
        self._load()

    def _load(self) -> None:
        state = self._state()
        try:
            version = RemoteVersion(**state["version"])
            synced, is_ours = int(state["synced_bytes"]), int(state["start"]) == self._start
        except (KeyError, TypeError, ValueError):
            return
        if is_ours and version.validator is not None and self.path.is_file() and self.path.stat().st_size >= synced:
            self.version, self.n_bytes, self._synced = version, synced, synced

    def _state(self) -> dict[str, Any]:
        try:
            state = json.loads(self._state_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def require_ours(self) -> None:
        """Refuse to write where somebody else's file stands: ours have a state file, which is written first.

        Raises
        ------
        DataError : there is one.
        """
        is_ours = {"start", "synced_bytes", "version"} <= self._state().keys()
        foreign = self._state_path if os.path.lexists(self._state_path) else self.path
        if not is_ours and os.path.lexists(foreign):
            raise DataError(
                f"{foreign}: is there already, but is not what emgpose fetched, which would be unfinished under this "
                "name; nothing is overwritten: move it away, or choose another folder"
            )

    def finished(self) -> tuple[RemoteVersion, str] | None:
        """Give version and SHA-256 of a file that a kill left complete but without a receipt."""
        state = self._state()
        try:
            return RemoteVersion(**state["version"]), str(state["finished_sha256"])
        except (KeyError, TypeError):
            return None

    def open(self) -> BinaryIO:
        """Open the part file at the place where it goes on; what lies behind it is cut off."""
        if not self._state_path.exists():
            self._write_state({})
        file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        file.truncate(self.n_bytes)
        file.seek(self.n_bytes)
        return file

    def begin_again(self, version: RemoteVersion | None) -> None:
        """Forget what has come."""
        self.n_bytes, self._synced, self.version = 0, 0, version
        self.path.unlink(missing_ok=True)
        if version is None:
            self._state_path.unlink(missing_ok=True)

    def sync(self, file: BinaryIO) -> None:
        """Make what has come safe, and write down how much that is."""
        file.flush()
        os.fsync(file.fileno())
        self._synced = self.n_bytes
        self._write_state({})

    @property
    def unsynced_bytes(self) -> int:
        """How much a power cut would cost now."""
        return self.n_bytes - self._synced

    def finish(self, sha256: str) -> None:
        """Give the file its name."""
        self._write_state({"finished_sha256": sha256})
        self.path.replace(self.target)
        sync_folder(self.target.parent)

    def clean_up(self) -> None:
        """Remove the state, once the finished file is written down elsewhere."""
        self._state_path.unlink(missing_ok=True)
        self._state_path.with_name(f"{self._state_path.name}.new").unlink(missing_ok=True)

    def _write_state(self, more: dict[str, Any]) -> None:
        version = asdict(self.version) if self.version is not None else None
        state = {"start": self._start, "synced_bytes": self._synced, "version": version, **more}
        replace_text(self._state_path, json.dumps(state) + "\n")
