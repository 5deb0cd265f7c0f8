"""An LSL outlet, received by a real inlet."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest
from made_poses import made_frame

from emgpose.errors import ConfigError
from emgpose.hand import JOINTS
from emgpose.live.sinks.lsl import LslSink

pytest.importorskip("pylsl")
HERE = Path(__file__).parent


def test_an_inlet_receives_angles_stale_flag_names_and_facts(tmp_path: Path) -> None:
    settings = tmp_path / "lsl_api.cfg"
    settings.write_text(f"[lab]\nSessionID = {uuid.uuid4().hex}\n[multicast]\nResolveScope = machine\n")
    environment = {**os.environ, "LSLAPICFG": str(settings), "PYTHONPATH": str(HERE)}
    done = subprocess.run(
        [sys.executable, str(HERE / "lsl_round_trip.py")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    heard = json.loads(done.stdout.splitlines()[-1])
    assert heard["type_is_ours"]
    assert heard["rate_hz"] == 50.0
    assert heard["labels"] == [*JOINTS, "STALE"]
    assert heard["units"] == [*["rad"] * 20, "boolean"]
    assert (heard["model"], heard["delay_s"]) == ("emgpose50", "0.02")
    values = np.array(heard["values"], dtype=np.float32)
    assert values.shape == (5, 21)
    for index in range(5):
        assert np.array_equal(values[index, :20], made_frame(index).joint_angles)
    assert values[:, 20].tolist() == [0, 0, 0, 1, 0]
    assert heard["stamps_rise"]


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 201])
def test_a_name_that_lsl_cannot_carry_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="printable stream name"):
        LslSink(name)
