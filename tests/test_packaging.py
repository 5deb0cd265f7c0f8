"""What an installed package holds: every file that the code reads at run time."""

import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "src" / "emgpose"


def test_every_file_beside_the_code_is_named_as_package_data():
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["emgpose"]
    named = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    beside = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert beside - named == set()
    assert PACKAGE / "assets" / "emgpose50_simulated" / "model.safetensors" in named


def test_a_folder_of_data_is_matched_by_no_pattern_as_if_it_were_a_file():
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["emgpose"]
    assert [path for pattern in patterns for path in PACKAGE.glob(pattern) if path.is_dir()] == []
