"""Files appear whole or not at all, also where the disk is full."""

import subprocess
import sys

import pytest

from emgpose.atomic import atomic_file, require_writable, write_text_atomically
from emgpose.errors import DataError

# Run in a process of its own, since HDF5 used to take the process with it.
WRITE_HDF5 = """
import resource
import sys
from pathlib import Path
import numpy as np
from emgpose.errors import DataError
from emgpose.prediction import open_pose_writer

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
rows = {"sample": np.arange(1000), "joint_angles": np.random.default_rng(0).random((1000, 20), np.float32)}
try:
    with open_pose_writer(Path(sys.argv[1]), {}) as writer:
        for _ in range(10):
            writer.write(rows)
except DataError as error:
    print(error)
"""

WRITE_RECORDING = """
import resource
import sys
from pathlib import Path
import numpy as np
from emgpose.errors import DataError
from emgpose.recording import Emg2PoseWriter

resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
emg = np.random.default_rng(0).random((6000, 16), np.float32)
try:
    with Emg2PoseWriter(Path(sys.argv[1]), sample_rate_hz=2000, user="u", stage="s", side="left") as writer:
        for _ in range(10):
            writer.append(emg)
except DataError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes, which stands for a full disk")
@pytest.mark.parametrize("code", [WRITE_HDF5, WRITE_RECORDING], ids=["HDF5", "a recording"])
def test_a_file_that_finds_no_room_is_one_error_and_leaves_nothing(tmp_path, code):
    path = tmp_path / "a.hdf5"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "writing failed: File too large; nothing was left behind" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_file_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    write_text_atomically(path, "first")

    def interrupted() -> None:
        with atomic_file(path) as unfinished:
            unfinished.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_require_writable_leaves_no_trace(tmp_path):
    require_writable(tmp_path / "a.html")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="it is a folder"):
        require_writable(tmp_path)
    with pytest.raises(DataError, match="exists and is writable"):
        require_writable(tmp_path / "none" / "a.html")
