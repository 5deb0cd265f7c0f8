"""Model folders from the Hub: a few files of fixed names and bounded sizes, all of one commit."""

import re
from pathlib import Path
from typing import Any, Final

from emgpose.checkpoints import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE
from emgpose.errors import CheckpointError
from emgpose.hub.extra import hub_errors, require_hub
from emgpose.version import __version__

# The largest model of the benchmark has 25 MB of weights.
MAX_BYTES: Final = {CONFIG_FILE: 2**20, WEIGHTS_FILE: 2**30, CARD_FILE: 2**20}
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


def fetch_model(
    repo_id: str,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    cache_dir: str | Path | None = None,
    force_download: bool = False,
) -> Path:
    """Bring a model from the Hub into this machine's cache.

    Nothing but config.json, model.safetensors and README.md is asked for, so no pickle and no file of another name ever
    arrives. Sizes are looked at before anything is downloaded. What is cached already is not fetched again.

    Parameters
    ----------
    repo_id : str
        USER/NAME.
    revision : str, optional
        A branch, a tag or a commit; by default the newest.
    token : str or bool, optional
        By default what `hf auth login` or HF_TOKEN gives; False for none.
    local_files_only : bool
        Whether to look into the cache alone.
    cache_dir : path, optional
        By default huggingface_hub's own.
    force_download : bool
        Whether to fetch again what is there.

    Returns
    -------
    Path : the model folder, for `emgpose.load_model`.

    Raises
    ------
    MissingExtraError : huggingface_hub is not installed.
    ConfigError : `repo_id` cannot be a name on the Hub.
    CheckpointError : no such model or no access; it has no such files, or they are too large; the Hub cannot be asked.
    """
    require_hub()
    settings: dict[str, Any] = {
        "token": token,
        "local_files_only": local_files_only,
        "cache_dir": cache_dir,
        "library_name": "emgpose",
        "library_version": __version__,
    }
    commit = revision
    with hub_errors(repo_id, token):
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            # From the first answer on the commit is fixed, so that files of two commits never mix.
            commit = _require_size(repo_id, name, commit, settings)
        settings["force_download"] = force_download
        # Asked for by its revision, so that the cache knows which commit that was.
        folder = _download(repo_id, CONFIG_FILE, revision, settings).parent
        if folder.name != commit:
            raise CheckpointError(f"{repo_id}: it changed while it was fetched; try again")
        _download(repo_id, WEIGHTS_FILE, commit, settings)
        _fetch_card(repo_id, commit, settings)
    return folder


def require_small(folder: Path) -> None:
    """Refuse a model folder whose files are larger than any model's, before they are read.

    Raises
    ------
    CheckpointError
    """
    for name, limit in MAX_BYTES.items():
        path = folder / name
        if path.is_file():
            _require_below(str(path), path.stat().st_size, limit)


def _require_size(repo_id: str, name: str, revision: str | None, settings: dict[str, Any]) -> str:
    """Ask for a file's size and commit alone; give the commit."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        facts = hf_hub_download(repo_id, name, revision=revision, dry_run=True, **settings)
    except LocalEntryNotFoundError:
        raise
    except EntryNotFoundError:
        advice = "; pickled weights (.bin, .pt, .ckpt) are not read from the Hub" if name == WEIGHTS_FILE else ""
        raise CheckpointError(f"{repo_id}: it has no {name}, so it is no emgpose model{advice}") from None
    if not _COMMIT.fullmatch(facts.commit_hash):
        raise CheckpointError(f"{repo_id}: the Hub names the commit {facts.commit_hash[:80]!a}, expected 40 hex digits")
    _require_below(f"{repo_id}: {name}", facts.file_size, MAX_BYTES[name])
    return facts.commit_hash


def _require_below(what: str, n_bytes: int | None, limit: int) -> None:
    if n_bytes is None or n_bytes > limit:
        size = "an unknown size" if n_bytes is None else f"{n_bytes:,} bytes"
        raise CheckpointError(f"{what}: refused: it has {size}, a model's has at most {limit:,} bytes")


def _download(repo_id: str, name: str, revision: str | None, settings: dict[str, Any]) -> Path:
    from huggingface_hub import hf_hub_download

    path = Path(hf_hub_download(repo_id, name, revision=revision, **settings))
    _require_below(f"{repo_id}: {name}", path.stat().st_size, MAX_BYTES[name])
    return path


def _fetch_card(repo_id: str, commit: str | None, settings: dict[str, Any]) -> None:
    """Fetch the card for people; a model without one loads all the same."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        facts = hf_hub_download(repo_id, CARD_FILE, revision=commit, dry_run=True, **settings)
    except EntryNotFoundError:
        return
    _require_below(f"{repo_id}: {CARD_FILE}", facts.file_size, MAX_BYTES[CARD_FILE])
    _download(repo_id, CARD_FILE, commit, settings)
