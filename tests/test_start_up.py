"""Coming up is quick because what is slow to import is not imported before it is used."""

import subprocess
import sys

import pytest

SLOW = {"torch", "h5py", "pandas", "scipy", "lightning", "matplotlib"}


@pytest.mark.parametrize(
    "code",
    [
        "import emgpose",
        "from emgpose.cli import main; sys.argv = ['emgpose', '--help']\ntry:\n    main()\nexcept SystemExit: pass",
    ],
    ids=["import emgpose", "emgpose --help"],
)
def test_nothing_slow_is_imported(code):
    listing = f"import sys\n{code}\nprint('loaded:', *sorted({SLOW!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", listing], check=True, capture_output=True, text=True).stdout
    assert answer.splitlines()[-1].split() == ["loaded:"]
