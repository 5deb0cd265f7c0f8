"""UDP JSON and OSC."""

import dataclasses
import json
import socket
from collections.abc import Iterator

import numpy as np
import pytest
from made_poses import HELLO, made_frame
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_message import OscMessage

from emgpose.errors import ConfigError
from emgpose.hand import JOINTS
from emgpose.live.sinks.osc import OscSink, pose_bundle
from emgpose.live.sinks.udp import UdpSink


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiving:
        receiving.bind(("127.0.0.1", 0))
        receiving.settimeout(10)
        yield receiving


def test_udp_sends_the_hello_first_and_then_a_pose_per_datagram(receiver: socket.socket) -> None:
    sink = UdpSink("127.0.0.1", receiver.getsockname()[1])
    sink.open(HELLO)
    for index in range(3):
        sink.send(made_frame(index))
    sink.close()
    messages = [json.loads(receiver.recv(65536)) for _ in range(4)]
    assert [message["type"] for message in messages] == ["hello", "pose", "pose", "pose"]
    assert messages[0]["joints"] == list(JOINTS)
    assert [message["index"] for message in messages[1:]] == [0, 1, 2]


def test_udp_repeats_the_hello_once_a_second_of_poses(receiver: socket.socket) -> None:
    sink = UdpSink("127.0.0.1", receiver.getsockname()[1])
    sink.open(HELLO)
    hellos = []
    for index in range(101):
        sink.send(made_frame(index))
        if json.loads(receiver.recv(65536))["type"] == "hello":
            hellos.append(index)
            receiver.recv(65536)
    sink.close()
    assert hellos == [0, 50, 100]


def test_udp_goes_on_where_nobody_listens_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sink = UdpSink("127.0.0.1", port)
    sink.open(HELLO)
    for index in range(200):
        sink.send(made_frame(index))
    sink.close()
    sink.close()
    sink.send(made_frame(0))
    assert len(caplog.records) <= 1


def test_a_pose_too_large_to_send_is_dropped_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    sink = UdpSink("127.0.0.1", 9)
    sink.open(HELLO)
    for index in range(3):
        sink.send(dataclasses.replace(made_frame(index), reason="x" * 70_000))
    sink.close()
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [
        "udp:127.0.0.1:9: a datagram was dropped"
    ]


@pytest.mark.parametrize("sink", [UdpSink("no-such-host.invalid", 9), OscSink("no-such-host.invalid", 9)])
def test_a_host_that_is_not_known_is_said_not_to_be(sink: UdpSink | OscSink) -> None:
    with pytest.raises(ConfigError, match="is not known"):
        sink.open(HELLO)


def test_osc_sends_one_bundle_per_pose(receiver: socket.socket) -> None:
    sink = OscSink("127.0.0.1", receiver.getsockname()[1])
    sink.open(HELLO)
    frame = made_frame(5, stale=True, truth=True)
    sink.send(frame)
    sink.close()
    hello = OscMessage(receiver.recv(65536))
    assert hello.address == "/emgpose/hello"
    assert json.loads(hello.params[0])["joints"] == list(JOINTS)
    messages = {message.address: message.params for message in OscBundle(receiver.recv(65536))}
    assert messages["/emgpose/frame"] == [5, 1]
    assert messages["/emgpose/reason"] == ["gap"]
    assert messages["/emgpose/time"] == [frame.sample, frame.time_s]
    for name in ("joint_angles", "landmarks", "quality", "truth"):
        sent = np.array(messages[f"/emgpose/{name}"], dtype=np.float32)
        assert np.array_equal(sent, getattr(frame, name).ravel())


def test_osc_leaves_the_truth_out_where_it_is_not_known() -> None:
    addresses = [message.address for message in OscBundle(pose_bundle(made_frame(0)))]
    assert "/emgpose/truth" not in addresses
    assert addresses[0] == "/emgpose/frame"


def test_an_osc_index_beyond_32_bits_begins_again() -> None:
    frame = dataclasses.replace(made_frame(0), index=2**31 + 3)
    first = next(iter(OscBundle(pose_bundle(frame))))
    assert first.params == [3, 0]
