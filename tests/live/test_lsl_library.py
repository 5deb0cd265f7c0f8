"""The library of Lab Streaming Layer is quiet, unless somebody has settings of their own for it."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("pylsl")
SCRIPT = "from emgpose.live.lsl_library import import_pylsl; import_pylsl().resolve_streams(0)"


def said(tmp_path, **settings):
    environment = {name: value for name, value in os.environ.items() if name != "LSLAPICFG"}
    environment |= {"HOME": str(tmp_path), **settings}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout + done.stderr


def test_it_prints_nothing_when_all_is_well(tmp_path):
    assert said(tmp_path) == ""


def test_settings_of_the_user_are_what_counts(tmp_path):
    own = tmp_path / "own.cfg"
    own.write_text("[log]\nlevel = 0\n")
    assert f"Configuration loaded from {own}" in said(tmp_path, LSLAPICFG=str(own))
    (tmp_path / "lsl_api").mkdir()
    own.rename(tmp_path / "lsl_api" / "lsl_api.cfg")
    assert "Configuration loaded from" in said(tmp_path)
