"""Where a result came from: code, libraries, commit."""

import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import emgpose

_LIBRARIES: Final = ("torch", "numpy", "scipy", "pandas", "h5py", "safetensors")


def versions() -> dict[str, str]:
    """Versions of emgpose, Python and the libraries that numbers depend on."""
    found = {"emgpose": emgpose.__version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def git_state() -> dict[str, Any] | None:
    """Commit of the emgpose checkout that runs, and whether its files differ from it; None for an installed package."""
    package = Path(emgpose.__file__).resolve().parent
    # A package inside another project's checkout (its .venv) is not tracked there.
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    commit, changes = _git(package, "rev-parse", "HEAD"), _git(package, "status", "--porcelain", "--", ".")
    return None if commit is None else {"commit": commit, "modified": bool(changes)}


def _git(folder: Path, *arguments: str) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            [git, *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
