"""`emgpose live` from the command line: real parts, small models, recordings made by rule."""

import contextlib
import json
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from emgpose.checkpoints import save_model
from emgpose.cli.live_parts import stopping
from emgpose.errors import DataError
from emgpose.live import bench
from emgpose.live.bench import run_bench as real_bench
from emgpose.live.calibration import Calibration
from emgpose.live.run import Controls
from emgpose.live.sinks.part_file import PartFile
from emgpose.live.sinks.recorder import Recorder
from emgpose.live.sources import opening
from emgpose.recording import open_session
from generated import generate_session
from small_models import small_model

N_WARM_UP = 28


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tracking model, a multitask one, and a recording of 2 s; the first pose comes with the 28th hop."""
    root = tmp_path_factory.mktemp("live")
    save_model(small_model("tracking_vemg2pose"), root / "tracking")
    save_model(small_model("emgpose50"), root / "multitask")
    generate_session(root / "rec.hdf5", seconds=2.0, invalid_share=0.0)
    return root


@pytest.fixture
def live(run, folder):
    def command(*arguments, source=None, checkpoint="tracking"):
        source = source or f"replay:{folder / 'rec.hdf5'}"
        return run("live", "--source", source, "--checkpoint", folder / checkpoint, "--speed", "max", *arguments)

    return command


class UdpMessages:
    """What a sink sends to a free port."""

    def __init__(self):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]

    def all(self):
        messages = []
        with self._socket, contextlib.suppress(BlockingIOError):
            while True:
                messages.append(json.loads(self._socket.recv(65_536)))
        return messages


def report_of(result):
    code, out, err = result
    assert code == 0, err
    return json.loads(out)


def test_a_replay_gives_one_json_document_on_stdout(live):
    report = report_of(live("--json"))
    assert report["ended"] == "source ended"
    assert report["n_samples"] == 4000
    assert report["n_frames"] == 100
    assert report["stale_reasons"] == {"warming up": N_WARM_UP}
    assert report["n_truth"] == 100 - N_WARM_UP
    assert report["faults"]["samples_lost"] == 0


def test_the_error_is_that_of_predict_in_stream_mode(live, run, folder, tmp_path):
    report = report_of(live("--json", "--no-smoothing", "--no-limits"))
    code, out, _ = run(
        "predict", folder / "rec.hdf5", "--checkpoint", folder / "tracking", "--mode", "stream", "--rate", "50",
        "--out", tmp_path / "poses.npz", "--json",
    )  # fmt: skip
    assert code == 0
    assert report["mae_rad"] == pytest.approx(json.loads(out)["mae_rad"], rel=0.02)


def test_people_are_told_what_runs_and_how_it_went(live):
    code, out, err = live("--sink", "ws:0")
    assert code == 0
    assert "ws://127.0.0.1:" in err
    assert "initial pose: recorded at sample 1150" in err
    assert "tracking_vemg2pose (tracking), trained on: none" in err
    assert "after 2.0 s of EMG" in out
    assert f"{N_WARM_UP} warming up" in out


def test_a_recording_passes_check_and_holds_the_same_emg(live, run, folder, tmp_path):
    path = tmp_path / "again.hdf5"
    report_of(live("--json", "--sink", f"record:{path}", "--user", "anna", "--stage", "fist"))
    code, out, _ = run("check", path)
    # Nothing but that 2 s are too short for the published test windows.
    assert "0 errors, 1 warnings" in out
    assert "no_test_window" in out
    assert code == 1
    with open_session(path) as again, open_session(folder / "rec.hdf5") as first:
        np.testing.assert_array_equal(again.emg(), first.emg())
        assert (again.facts.user, again.facts.stage) == ("anna", "fist")


def test_a_multitask_model_tracks_where_the_recording_holds_the_pose(live):
    assert report_of(live("--json", checkpoint="multitask"))["task"] == "tracking"
    assert report_of(live("--json", "--task", "regression", checkpoint="multitask"))["task"] == "regression"


def test_a_multitask_model_finds_the_pose_where_nobody_knows_it(live):
    report = report_of(live("--json", "--seconds", "0.5", source="simulate", checkpoint="multitask"))
    assert report["task"] == "regression"
    assert report["emg_s"] == 0.5


def test_a_calibration_file_gives_the_pose_to_start_from(live, tmp_path):
    Calibration(initial_pose=(0.1,) * 20).write(tmp_path / "me.json")
    code, _, err = live(
        "--calibration", tmp_path / "me.json", "--seconds", "0.1", source="simulate", checkpoint="multitask"
    )
    assert code == 0
    assert "initial pose: the calibration's" in err


def test_a_channel_map_and_a_pose_from_a_file_are_taken(live, tmp_path):
    pose = tmp_path / "pose.json"
    pose.write_text(json.dumps([0.2] * 20))
    code, _, err = live("--channel-map", "1,0," + ",".join(["-"] * 14), "--initial-pose", pose)
    assert code == 0
    assert f"initial pose: from {pose}" in err
    assert "14 of" in err


def test_a_recording_can_be_played_again_and_again(live):
    report = report_of(live("--json", "--loop", "--seconds", "5"))
    assert report["ended"] == "time over"
    assert report["n_samples"] >= 10_000
    assert report["faults"]["gaps"] == 2


def test_each_round_of_a_tracked_recording_begins_with_its_own_pose(live):
    # Until its context is full a round shows the pose that it begins with.
    messages = UdpMessages()
    report_of(live("--json", "--loop", "--seconds", "3", "--no-limits", "--sink", f"udp:127.0.0.1:{messages.port}"))
    poses = [message for message in messages.all() if message["type"] == "pose"]
    first = next(pose for pose in poses if pose["reason"] == "warming up")
    again = next(pose for pose in poses if pose["reason"] == "gap")
    assert again["joint_angles"] == first["joint_angles"]


def test_the_side_that_the_user_says_is_the_one_of_the_hand(live, tmp_path):
    emg = np.random.default_rng(0).standard_normal((2000, 16)).astype(np.float32)
    np.savetxt(tmp_path / "emg.csv", emg, delimiter=",", header=",".join(f"emg{n}" for n in range(16)), comments="")
    messages = UdpMessages()
    code, _, err = live(
        "--input-rate", "2000", "--noise-floor", "1", "--side", "left", "--sink", f"udp:127.0.0.1:{messages.port}",
        source=f"replay:{tmp_path / 'emg.csv'}",
    )  # fmt: skip
    assert code == 0, err
    assert messages.all()[0]["side"] == "left"


@pytest.mark.parametrize(
    ("arguments", "source", "code", "message"),
    [
        ((), "nonsense", 2, "expected one of lsl"),
        ((), "replay:nowhere.hdf5", 1, "nowhere.hdf5"),
        (("--seconds", "0"), None, 2, "--seconds 0"),
        (("--speed", "fast"), None, 2, "--speed fast"),
        (("--channel-map", "0,x"), None, 2, "--channel-map 0,x"),
        (("--channel-map", "1" * 5000), None, 2, "expected channel numbers"),
        (("--side", "left"), None, 2, "says that it is on the right hand"),
        (("--side", "up"), None, 2, "left or right"),
        (("--noise-floor", "a"), None, 2, "--noise-floor a"),
        (("--view", "--view-host", "0.0.0.0"), None, 2, "ssh -L"),
        (("--view", "--view-port", "70000"), None, 2, "--view-port 70000"),
        (("--sink", "carrier-pigeon"), None, 2, "--sink carrier-pigeon"),
        (("--sink", "ws:0.0.0.0:0"), None, 2, "token"),
        (("--loop",), "simulate", 2, "--loop: simulate"),
        (("--initial-pose", "recorded"), "simulate", 2, "--initial-pose recorded: simulate"),
        (("--calibration", "nowhere.json"), None, 1, "nowhere.json"),
        (("--task", "regression"), None, 2, "tracking"),
        (("--calibrate", "me.json"), None, 2, "for a person who wears the band"),
    ],
)
def test_what_cannot_be_is_said_in_one_message(live, arguments, source, code, message):
    got, out, err = live(*arguments, source=source)
    assert (got, out) == (code, "")
    assert message in err
    assert err.count("error:") == 1


def test_a_sink_that_fails_on_the_way_ends_in_exit_code_1(live, folder, monkeypatch, tmp_path):
    def full(self, chunk):
        raise DataError("disk full")

    monkeypatch.setattr(Recorder, "record", full)
    code, out, err = live("--json", "--sink", f"record:{tmp_path / 'x.hdf5'}")
    assert code == 1
    assert "disk full" in err
    report = json.loads(out)
    assert report["n_frames"] == 100
    assert list(report["failed_sinks"].values()) == ["disk full"]


def test_a_killed_recording_is_finished_by_a_command_of_its_own(run, tmp_path):
    head = {"user": "u", "stage": "s", "side": "left", "session": "a", "attributes": {}, "source_rate_hz": 2000.0}
    part = PartFile(tmp_path / "a.hdf5", head)
    part.append(0.0, np.ones((3000, 16), dtype=np.float32), None)
    part.close()
    with part.path.open("ab") as file:
        file.write(b"torn")
    code, out, err = run("live", "--recover", part.path, "--json")
    assert code == 0
    assert json.loads(out) == {
        "path": str(tmp_path / "a.hdf5"), "n_samples": 3000, "n_bytes_left": 4, "duration_s": 1.5,
    }  # fmt: skip
    assert "its last 4 bytes are not whole and were left out; it is kept" in err
    part.path.write_bytes(part.path.read_bytes()[:-4])
    code, out, err = run("live", "--recover", part.path)
    assert (code, out.split(), err) == (0, ["written", f"{tmp_path / 'a-2.hdf5'},", "1.5", "s"], "")
    assert not part.path.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--recover", "a.hdf5"), 2, "whose name ends in .part"),
        (("--recover", "a.hdf5.part"), 1, "No such file"),
        (("--recover", "a.hdf5.part", "--source", "simulate"), 2, "leave --source, --sink and --bench out"),
    ],
)
def test_what_cannot_be_recovered_is_one_message(run, arguments, code, message):
    got, _, err = run("live", *arguments)
    assert got == code
    assert message in err


def test_a_band_is_calibrated_first_and_then_used(live, tmp_path, monkeypatch):
    generate_session(tmp_path / "long.hdf5", seconds=32.0, invalid_share=0.0)
    open_real = opening.open_source
    monkeypatch.setattr(
        opening, "open_source", lambda spec, **options: open_real(f"replay:{tmp_path / 'long.hdf5'}", **options)
    )
    path = tmp_path / "me.json"
    code, out, err = live("--calibrate", path, "--json", source="lsl:MyBand", checkpoint="multitask")
    assert code == 0, err
    for text in ("without moving", "Make a fist", "Calibrated: ", f"written to {path}"):
        assert text in err
    assert Calibration.read(path).initial_pose is not None
    assert json.loads(out)["n_samples"] < 3 * 2000 + 20_000


def test_the_bench_needs_no_source(run, folder, monkeypatch):
    monkeypatch.setattr(bench, "run_bench", lambda model: real_bench(model, seconds=0.2, sleep=lambda _: None))
    code, out, _ = run("live", "--bench", "--checkpoint", folder / "tracking", "--json")
    assert code == 0
    assert json.loads(out)["model"] == "tracking_vemg2pose"
    code, out, _ = run("live", "--bench", "--checkpoint", folder / "multitask", "--task", "regression")
    assert code == 0
    assert "emgpose50 (regression)" in out


def test_without_source_and_bench_there_is_nothing_to_do(run, folder):
    code, _, err = run("live", "--checkpoint", folder / "tracking")
    assert code == 2
    assert "--source: say where the EMG comes from" in err


def test_ctrl_c_ends_the_run_in_order_and_a_second_one_at_once():
    controls = Controls()
    with stopping(controls):
        signal.raise_signal(signal.SIGINT)
        assert controls.stopped
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_help_needs_no_torch():
    code = (
        "import sys; from emgpose.cli import live;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'viser', 'pylsl', 'websockets')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
