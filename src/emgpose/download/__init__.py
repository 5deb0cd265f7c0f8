"""Fetching emg2pose: resumable downloads, and single recordings out of its 431 GiB archive."""

from emgpose.download.link import Link
from emgpose.download.members import Choice
from emgpose.download.run import Outcome, download, require_sensible
from emgpose.download.selection import choose_recordings
from emgpose.download.sources import SOURCES, licence_file, licence_notice, record_licence, source_of
from emgpose.download.wanted import Listener

__all__ = [
    "SOURCES",
    "Choice",
    "Link",
    "Listener",
    "Outcome",
    "choose_recordings",
    "download",
    "licence_file",
    "licence_notice",
    "record_licence",
    "require_sensible",
    "source_of",
]
