"""Tell files whose content was never fetched: git-annex and DataLad leave a pointer in their place."""

from pathlib import Path
from typing import Final

from emgpose.errors import SessionFormatError

# A pointer is one line with the key of the content; a file of this size is none.
_MAX_POINTER_BYTES: Final = 32_768
_OBJECTS: Final = "annex/objects/"
_STARTS: Final = (b"/annex/objects/", b"../", b".git/annex/objects/")


def require_fetched(path: Path) -> None:
    """Refuse a file that only points to its content; one that does not exist at all is no matter of this function.

    Parameters
    ----------
    path : Path
        A link to nowhere, as git-annex leaves it, or a small text file, as it leaves where links are not possible.

    Raises
    ------
    SessionFormatError : the content is not here; the message says how to get it.
    """
    if path.is_symlink() and not path.exists():
        target = str(path.readlink())
        if _OBJECTS not in target.replace("\\", "/"):
            raise SessionFormatError(f"{path}: is a link to {target[:200]!a}, where there is nothing; mend the link")
        raise _not_fetched(path)
    if not path.is_file() or path.stat().st_size > _MAX_POINTER_BYTES:
        return
    with path.open("rb") as file:
        require_content(path, file.read(1024))


def require_content(path: Path, content: bytes) -> None:
    """Refuse what was read from a file if it is a git-annex pointer.

    Raises
    ------
    SessionFormatError : it is one.
    """
    if content.startswith(_STARTS) and _OBJECTS.encode() in content[:1024].splitlines()[0].replace(b"\\", b"/"):
        raise _not_fetched(path)


def _not_fetched(path: Path) -> SessionFormatError:
    return SessionFormatError(
        f"{path}: is a git-annex pointer, expected the content, which was not fetched; in the data set's folder run: "
        f"datalad get {path.name} (or git annex get), with its path from there"
    )
