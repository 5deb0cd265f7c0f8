"""Opening a source by its name."""

import subprocess
import sys

import pytest

from emgpose.errors import ConfigError
from emgpose.live.sources.opening import open_source


@pytest.mark.parametrize("spec", ["", "bluetooth", "bluetooth:x", ":x", "LSL:x"])
def test_an_unknown_source_lists_the_known_ones(spec):
    with pytest.raises(ConfigError, match="expected one of lsl or lsl:NAME, replay:FILE, xdf:FILE"):
        open_source(spec)


def test_a_misspelt_source_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean simulate"):
        open_source("simulated")


@pytest.mark.parametrize("spec", ["replay", "replay:", "xdf", "xdf:", "lsl:", "simulate:"])
def test_a_source_without_its_second_part_says_what_is_expected(spec):
    with pytest.raises(ConfigError, match=f"source '{spec}': expected {spec.rstrip(':')}"):
        open_source(spec)


@pytest.mark.parametrize(("name", "kind"), [("rec.hdf5", "replay"), ("rec.xdf", "xdf")])
def test_a_file_by_itself_is_told_its_kind(tmp_path, name, kind):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ConfigError, match=f"is a file; say {kind}:"):
        open_source(str(tmp_path / name))


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("lsl", {"speed": 2.0}, "a stream comes at its own speed"),
        ("lsl", {"seed": 3}, "takes no seed"),
        ("replay:x.hdf5", {"seed": 3}, "takes no seed"),
        ("replay:x.hdf5", {"speed": -1}, "speed: expected a number"),
        ("simulate", {"speed": "quick"}, "speed: expected a number"),
        ("simulate", {"input_rate_hz": 1000.0}, "takes no input rate"),
        ("simulate", {"channels": ["emg16"]}, "there is no channel 'emg16'"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(spec, options, message):
    with pytest.raises(ConfigError, match=message):
        open_source(spec, **options)


def test_opening_a_replay_loads_neither_torch_nor_lsl():
    code = (
        "import sys; from emgpose.live.sources.opening import open_source\n"
        "from emgpose.errors import SessionFormatError\n"
        "try: open_source('replay:nothing.hdf5')\n"
        "except SessionFormatError: pass\n"
        "print(sorted({'torch', 'pylsl', 'pyxdf', 'scipy.signal'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
