"""All sinks as one."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from made_poses import HELLO, SCALED, made_chunks, made_frame

from emgpose.errors import ConfigError, StreamError
from emgpose.live.chunk import EmgChunk, SourceFacts
from emgpose.live.pose_frame import Hello, PoseFrame
from emgpose.live.sinks import RecordingSettings, Sinks, SinkSettings


@dataclass
class MadePoseSink:
    """Notes what it is asked, and fails where told to."""

    name: str
    fails_at: str = ""
    calls: list[str] = field(default_factory=list)

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if call == self.fails_at:
            raise StreamError(f"{call} went wrong")

    def open(self, hello: Hello) -> None:
        assert hello is HELLO
        self._note("open")

    def send(self, frame: PoseFrame) -> None:
        self._note("send")

    def close(self) -> None:
        self._note("close")


@dataclass
class MadeChunkSink(MadePoseSink):
    """The same for EMG."""

    def open(self, source: SourceFacts) -> None:  # type: ignore[override]
        assert source is SCALED
        self._note("open")

    def record(self, chunk: EmgChunk) -> None:
        self._note("record")


def test_poses_go_to_pose_sinks_and_emg_to_recorders() -> None:
    poses, chunks = MadePoseSink("poses"), MadeChunkSink("chunks")
    sinks = Sinks([poses, chunks])
    sinks.open(HELLO, SCALED)
    sinks.send(made_frame(0))
    sinks.record(made_chunks(20)[0])
    sinks.close()
    assert poses.calls == ["open", "send", "close"]
    assert chunks.calls == ["open", "record", "close"]
    assert sinks.failures == {}


@pytest.mark.parametrize("call", ["send", "record"])
def test_a_sink_that_fails_is_logged_once_and_the_others_go_on(call: str, caplog: pytest.LogCaptureFixture) -> None:
    bad = MadePoseSink("bad", "send") if call == "send" else MadeChunkSink("bad", "record")
    good = MadePoseSink("good")
    sinks = Sinks([bad, good])
    sinks.open(HELLO, SCALED)
    for index in range(5):
        sinks.send(made_frame(index))
        sinks.record(made_chunks(20)[0])
    sinks.close()
    assert bad.calls == ["open", call, "close"]
    assert good.calls == ["open", *["send"] * 5, "close"]
    assert sinks.failures == {"bad": f"{call} went wrong"}
    assert [record.getMessage() for record in caplog.records] == [f"bad failed: {call} went wrong"]


def test_where_one_cannot_be_opened_those_before_it_are_closed_again() -> None:
    first, bad, last = MadePoseSink("first"), MadePoseSink("bad", "open"), MadePoseSink("last")
    sinks = Sinks([first, bad, last])
    with pytest.raises(StreamError, match="open went wrong"):
        sinks.open(HELLO, SCALED)
    assert (first.calls, bad.calls, last.calls) == (["open", "close"], ["open"], [])


def test_where_one_cannot_be_opened_only_that_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sinks = Sinks([*Sinks.from_specs([f"record:{tmp_path / 'rec.hdf5'}"])._sinks, MadePoseSink("bad", "open")])
    with pytest.raises(StreamError, match="open went wrong"):
        sinks.open(HELLO, SCALED)
    assert (caplog.text, sinks.failures, list(tmp_path.iterdir())) == ("", {}, [])


def test_one_that_cannot_be_closed_does_not_keep_the_others_open(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "emgpose.live.sinks")
    bad, good = MadePoseSink("bad", "close"), MadePoseSink("good")
    sinks = Sinks([bad, good])
    sinks.open(HELLO, SCALED)
    sinks.close()
    sinks.close()
    assert good.calls == ["open", "close"]
    assert sinks.failures == {"bad": "close went wrong"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ws", "ws"),
        ("ws", "ws:8765"),
        ("ws:8765", "ws:127.0.0.1:8765"),
        ("record:a.hdf5", "record:./a.hdf5"),
        ("udp:127.0.0.1:9", "udp:127.0.0.1:09"),
    ],
)
def test_the_same_sink_twice_is_refused_however_it_is_written(one: str, other: str) -> None:
    with pytest.raises(ConfigError, match="is given twice"):
        Sinks.from_specs([one, "udp:127.0.0.1:9000", other])


def test_all_kinds_work_at_once(tmp_path: Path) -> None:
    path = tmp_path / "all.hdf5"
    specs = ["ws:0", "udp:127.0.0.1:9", "osc:127.0.0.1:9", f"record:{path}"]
    sinks = Sinks.from_specs(specs, SinkSettings(recording=RecordingSettings(user="u1")))
    sinks.open(HELLO, SCALED)
    try:
        assert len(sinks.names) == 4
        for index, chunk in enumerate(made_chunks(400)):
            sinks.record(chunk)
            sinks.send(made_frame(index))
    finally:
        sinks.close()
    assert sinks.failures == {}
    assert path.is_file()
