"""The real parts together: a recording replayed through a real model to a WebSocket client, a file and the viewer."""

import threading

import numpy as np
import pytest
import torch

from emgpose.hand import JOINTS
from emgpose.live.engine import Engine
from emgpose.live.engine_settings import EngineSettings
from emgpose.live.run import Controls, run_live
from emgpose.live.sinks.several import Sinks
from emgpose.live.sources.opening import open_source
from emgpose.live.viewer.app import Viewer
from emgpose.live.viewer.hand_mesh import HandMesh
from emgpose.recording import open_session
from generated import generate_session
from small_models import small_model

msgpack = pytest.importorskip("msgpack", reason="needs msgpack (extra: live)")
client = pytest.importorskip("websockets.sync.client", reason="needs websockets (extra: live)")
pytest.importorskip("viser", reason="needs viser (extra: live)")


class Listener:
    """A WebSocket client; the last receiver to be opened, so that the server is there."""

    def __init__(self, sinks):
        self._sinks, self.messages = sinks, []

    def open(self, hello, source):
        url = next(name for name in self._sinks.names if name.startswith("ws://"))
        self._socket = client.connect(url, compression=None)
        self.messages.append(msgpack.unpackb(self._socket.recv()))
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        for message in self._socket:
            self.messages.append(msgpack.unpackb(message))

    def send(self, frame):
        pass

    def record(self, chunk):
        pass

    def close(self):
        pass


def test_a_replay_reaches_a_client_a_file_and_the_viewer(tmp_path):
    torch.set_num_threads(1)
    generate_session(tmp_path / "rec.hdf5", seconds=2.0, invalid_share=0.0)
    source = open_source(f"replay:{tmp_path / 'rec.hdf5'}", speed="max")
    engine = Engine(small_model("emgpose50"), source.facts, settings=EngineSettings(smoothing=None, joint_limits=False))
    controls = Controls()
    sinks = Sinks.from_specs(["ws:0", f"record:{tmp_path / 'again.hdf5'}"])
    viewer = Viewer(HandMesh.of(engine.hand), controls, engine.settings, port=0)
    listener = Listener(sinks)
    report = run_live(source, engine, [sinks, viewer, listener], controls=controls)
    source.close()
    listener._thread.join(30)
    assert (report.n_frames, report.n_samples, report.ended) == (100, 4000, "source ended")
    assert sinks.failures == {}
    hello, *poses = listener.messages
    assert (hello["type"], hello["version"], tuple(hello["joints"])) == ("hello", 1, JOINTS)
    assert poses
    assert np.shape(poses[-1]["joint_angles"]) == (20,)
    indices = [pose["index"] for pose in poses]
    assert indices == sorted(indices)
    with open_session(tmp_path / "again.hdf5") as again, open_session(tmp_path / "rec.hdf5") as first:
        np.testing.assert_array_equal(again.emg(), first.emg())
        np.testing.assert_array_equal(again.joint_angles(), first.joint_angles())
    assert viewer.server is None
