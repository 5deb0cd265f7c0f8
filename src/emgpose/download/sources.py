"""What can be downloaded, from where, under which licence. emgpose ships none of it.

Source: Salter et al. 2024 and its repository (addresses and licences); NEMAR's documentation for the BIDS edition.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emgpose.download.bookkeeping import replace_text
from emgpose.download.transport import checked_url
from emgpose.errors import ConfigError

_DATA_LICENCE: Final = "CC BY-NC-SA 4.0"
_HAND_LICENCE: Final = "CC BY-NC 4.0"
_LICENCE_PAGES: Final = {
    _DATA_LICENCE: "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    _HAND_LICENCE: "https://creativecommons.org/licenses/by-nc/4.0/",
}
_BUCKET: Final = "https://fb-ctrl-oss.s3.amazonaws.com/emg2pose/"
METADATA_FILE: Final = "emg2pose_metadata.csv"


@dataclass(frozen=True)
class Source:
    """Something that can be downloaded.

    Parameters
    ----------
    name : str
        As the command line names it.
    base_url : str
        Ends with a slash.
    file : str
        Below the base.
    licence : str
    what : str
        In words, for the licence notice.
    """

    name: str
    base_url: str
    file: str
    licence: str
    what: str

    def at(self, base_url: str | None) -> str:
        """Give the base address, or that of a mirror, with a slash at its end.

        Raises
        ------
        ConfigError : it is no https or http address, or has more behind the folder.
        """
        if base_url is not None and ("?" in base_url or "#" in base_url):
            raise ConfigError("--base-url: expected the address of a folder, without ? or # in it")
        return f"{checked_url(base_url or self.base_url).rstrip('/')}/"


SOURCES: Final = {
    source.name: source
    for source in (
        Source(
            "mini", _BUCKET, "emg2pose_dataset_mini.tar", _DATA_LICENCE, "the mini edition of the emg2pose data set"
        ),
        Source("full", _BUCKET, "emg2pose_dataset.tar", _DATA_LICENCE, "recordings of the emg2pose data set"),
        Source("metadata", _BUCKET, METADATA_FILE, _DATA_LICENCE, "the metadata table of the emg2pose data set"),
        Source("checkpoints", _BUCKET, "emg2pose_model_checkpoints.tar.gz", _DATA_LICENCE, "the emg2pose checkpoints"),
        Source(
            "hand-model",
            "https://raw.githubusercontent.com/facebookresearch/emg2pose/main/emg2pose/UmeTrack/dataset/",
            "generic_hand_model.json",
            _HAND_LICENCE,
            "the UmeTrack generic hand model",
        ),
        Source(
            "bids",
            "https://nemar.s3.us-east-2.amazonaws.com/nm000281/",
            "version/v1.0.3.json",
            _DATA_LICENCE,
            "the BIDS edition of the emg2pose data set (NEMAR nm000281)",
        ),
    )
}


def source_of(name: str) -> Source:
    """Find a source.

    Raises
    ------
    ConfigError : there is none of this name.
    """
    if name not in SOURCES:
        raise ConfigError(f"{name[:80]!a}: expected one of {', '.join(SOURCES)}")
    return SOURCES[name]


def licence_file(out: Path, source: Source) -> Path:
    """Where the acceptance of a licence is recorded."""
    return out / f"LICENCE-{source.licence.replace(' ', '-')}.txt"


def licence_notice(source: Source) -> str:
    """Say under which terms something is published, one sentence each."""
    return (
        f"{source.what[:1].upper()}{source.what[1:]}: published by Meta Platforms under {source.licence} "
        f"({_LICENCE_PAGES[source.licence]}).\n"
        "You must name the authors (Salter et al., NeurIPS 2024 Datasets & Benchmarks, arXiv 2412.02725) and may not "
        "use it commercially"
        + (", and what you make of it must carry the same licence" if source.licence == _DATA_LICENCE else "")
        + ". emgpose is not its publisher."
    )


def record_licence(out: Path, source: Source, url: str, day: str) -> None:
    """Write down what was accepted and when, beside the data."""
    path = licence_file(out, source)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    entry = f"{licence_notice(source)}\nAccepted on {day}, before the download from {url}\n"
    if entry not in before:
        replace_text(path, f"{before}\n{entry}".lstrip("\n"))
