"""The examples of devices: a source of one's own, and a recording offered as a stream."""

import importlib
import os
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest
import torch

from emgpose.errors import SourceLost
from generated import generate_session

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module("my_device")


@pytest.fixture
def band(example):
    """A device on a free port, and a function that sends it a packet."""
    device = example.MyDevice(port=0)
    address = device._socket.getsockname()
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def send(number, emg=None):
        packet = np.zeros(1, dtype=example.PACKET)
        packet["number"] = number
        if emg is not None:
            packet["emg"] = emg
        sender.sendto(packet.tobytes(), address)

    yield device, send, lambda data: sender.sendto(data, address)
    sender.close()
    device.close()


def test_the_example_device_gives_packets_in_microvolts(band):
    device, send, _ = band
    counts = np.arange(320, dtype=np.int16).reshape(20, 16)
    send(0, counts)
    chunk = device.read(10.0)
    assert (chunk.first_sample, chunk.emg.shape, chunk.emg.dtype) == (0, (20, 16), np.float32)
    assert chunk.emg == pytest.approx(0.2 * counts)
    assert (device.facts.sample_rate_hz, device.facts.emg_unit, device.facts.n_channels) == (2000.0, "uV", 16)


def test_a_lost_packet_of_the_example_device_shows_as_a_jump(band):
    device, send, _ = band
    send(0)
    send(2)
    chunks = [device.read(10.0), device.read(10.0)]
    assert [chunk.first_sample for chunk in chunks] == [0, 40]
    assert chunks[1].time_s == pytest.approx(59 / 2000)


def test_the_example_device_ignores_strangers_and_says_when_it_is_silent(band, example, monkeypatch):
    device, _, send_bytes = band
    send_bytes(b"hello")
    assert device.read(10.0) is None
    assert device.read(0.0) is None
    heard_s = device._heard_s
    monkeypatch.setattr(example.time, "monotonic", lambda: heard_s + 2.5)
    with pytest.raises(SourceLost, match="no packet for 2 s"):
        device.read(0.0)


def test_the_engine_takes_the_example_device(band):
    from emgpose.live.engine import Engine
    from emgpose.live.engine_settings import EngineSettings
    from small_models import small_model

    device, send, _ = band
    engine = Engine(small_model(), device.facts, settings=EngineSettings(noise_floor=(5.0,) * 16))
    rng = np.random.default_rng(0)
    frames = []
    for number in range(60):
        send(number, rng.normal(0, 100, (20, 16)).astype(np.int16))
        frames += engine.push(device.read(10.0))
    assert frames
    assert frames[-1].sample <= 1199
    assert np.isfinite(frames[-1].joint_angles).all()


@pytest.mark.parametrize(("arguments", "said"), [((), "usage: "), (("nowhere.hdf5",), "error: nowhere.hdf5: no such")])
def test_the_example_that_offers_a_recording_says_what_it_needs(arguments, said):
    command = [sys.executable, str(EXAMPLES / "emg_to_lsl.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith(said)


@pytest.mark.slow
def test_a_recording_offered_by_the_example_is_received_whole_by_another_process(tmp_path):
    pytest.importorskip("pylsl")
    recording = tmp_path / "rec.hdf5"
    generate_session(recording, seconds=9.0)
    config = tmp_path / "lsl_api.cfg"
    config.write_text(f"[multicast]\nResolveScope = machine\n[lab]\nSessionID = {uuid.uuid4().hex}\n")
    environment = {**os.environ, "LSLAPICFG": str(config)}
    reader = """
import numpy as np
from emgpose.errors import SourceLost
from emgpose.live.sources.lsl_inlet import open_lsl
from emgpose.recording import open_session
import sys
source = open_lsl("Replay", resolve_timeout_s=60.0)
parts = []
try:
    while True:
        part = source.read(0.2)
        parts += [part] if part is not None else []
except SourceLost:
    pass
with open_session(sys.argv[1]) as session:
    assert source.facts.preprocessing == session.preprocessing
    assert (source.facts.emg_unit, source.facts.side) == ("noise_floor", "right")
    emg = np.concatenate([part.emg for part in parts])
    assert np.array_equal(emg, session.emg()), (emg.shape, session.n_samples)
assert [part.first_sample for part in parts] == np.cumsum([0, *(len(part.emg) for part in parts[:-1])]).tolist()
"""
    command = [sys.executable, str(EXAMPLES / "emg_to_lsl.py"), str(recording), "Replay"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as outlet:
        done = subprocess.run(
            [sys.executable, "-c", reader, str(recording)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        said = outlet.communicate(timeout=60)[0]
    assert done.returncode == 0, done.stderr
    assert "18000 samples sent" in said


def test_the_example_device_runs_until_ctrl_c(example, monkeypatch):
    from emgpose import checkpoints
    from emgpose.live import run
    from small_models import small_model

    sources = []

    def interrupted(source, engine, receivers):
        sources.append(source)
        raise KeyboardInterrupt

    monkeypatch.setattr(example.MyDevice.__init__, "__defaults__", (0,))
    monkeypatch.setattr(checkpoints, "load_model", small_model)
    monkeypatch.setattr(run, "run_live", interrupted)
    n_threads = torch.get_num_threads()
    try:
        example.main()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(n_threads)
    assert sources[0]._socket.fileno() == -1
