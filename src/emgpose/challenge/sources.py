"""Which files of emgpose a submission needs: the modules that its predictor imports, found in the source text."""

import ast
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Final

from emgpose.errors import DataError

PACKAGE: Final = Path(__file__).resolve().parents[1]


def needed_sources(module: str) -> dict[str, bytes]:
    """Give the files of the emgpose modules that one of them imports, directly or through others.

    Imports inside functions count, those for type checking alone do not: what runs must be there.

    Parameters
    ----------
    module : str
        Such as "emgpose.challenge.predictor".

    Returns
    -------
    dict
        Path from the folder of the package, such as "emgpose/models/card.py", and content; sorted.
    """
    found: dict[str, bytes] = {}
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _file_of(name)
        if name in seen or path is None:
            continue
        seen.add(name)
        content = path.read_bytes()
        found[path.relative_to(PACKAGE.parent).as_posix()] = content
        # Importing a module runs the packages that it lies in.
        waiting += [name.rsplit(".", 1)[0]] if "." in name else []
        waiting += [imported for imported in _imports(ast.parse(content)) if imported.split(".")[0] == PACKAGE.name]
    return dict(sorted(found.items()))


def licence_text() -> bytes:
    """Give the text of emgpose's licence, which goes with its sources.

    Raises
    ------
    DataError : this installation has none.
    """
    try:
        installed = [Path(str(file.locate())) for file in files(PACKAGE.name) or () if file.name == "LICENSE"]
    except PackageNotFoundError:
        installed = []
    for path in (*installed, PACKAGE.parents[1] / "LICENSE"):
        if path.is_file():
            return path.read_bytes()
    raise DataError(f"{PACKAGE}: this installation of emgpose has no LICENSE file; install emgpose again")


def _file_of(name: str) -> Path | None:
    """Find a module; None for a name that is something inside a module."""
    path = PACKAGE.parent.joinpath(*name.split("."))
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _imports(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module is not None and child.level == 0:
            yield child.module
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        yield from _imports(child)
