"""What is said to receivers, and what they may say."""

import dataclasses
import json
import struct

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_poses import HELLO, made_frame

from emgpose.hand import JOINTS, LANDMARKS
from emgpose.live.sinks.messages import (
    Ping,
    RequestError,
    Subscribe,
    hello_message,
    pose_message,
    read_request,
    to_json,
    to_msgpack,
)

ETHERNET_BYTES = 1472


def test_the_hello_names_joints_landmarks_channels_units_and_rates() -> None:
    message = json.loads(to_json(hello_message(HELLO)))
    assert message["type"] == "hello"
    assert message["version"] == 1
    assert message["joints"] == list(JOINTS)
    assert message["landmarks"] == list(LANDMARKS)
    assert message["channels"] == list(HELLO.channel_names)
    assert message["units"]["joint_angles"] == "rad"
    assert message["units"]["landmarks"] == "mm"
    assert (message["rate_hz"], message["sample_rate_hz"], message["delay_s"]) == (50.0, 2000.0, 0.02)
    assert set(vars(HELLO)) - set(message) == {"channel_names"}


def test_a_pose_survives_msgpack_to_the_last_bit() -> None:
    frame = made_frame(7, truth=True)
    message = msgpack.unpackb(to_msgpack(pose_message(frame)))
    for name in ("joint_angles", "landmarks", "quality", "truth"):
        assert np.array_equal(np.array(message[name], dtype=np.float32), getattr(frame, name))
    assert message["time_s"] == frame.time_s
    assert (message["index"], message["sample"], message["stale"], message["reason"]) == (7, 2070, False, "")


def test_a_pose_in_json_is_rounded_as_documented() -> None:
    frame = made_frame(3)
    message = json.loads(to_json(pose_message(frame)))
    assert np.abs(np.array(message["joint_angles"]) - frame.joint_angles).max() <= 0.5e-5 + 1e-9
    assert np.abs(np.array(message["landmarks"]) - frame.landmarks).max() <= 0.5e-2 + 1e-9
    assert abs(message["time_s"] - frame.time_s) < 1e-6
    assert message["truth"] is None


def test_a_pose_in_json_fits_one_ethernet_packet_with_its_truth() -> None:
    frame = dataclasses.replace(made_frame(10**6, stale=True, truth=True), reason="source silent")
    assert len(to_json(pose_message(frame)).encode()) <= ETHERNET_BYTES


def test_numbers_that_are_none_become_null_in_json() -> None:
    frame = made_frame(0)
    frame.joint_angles[3] = np.nan
    frame.landmarks[0, 1] = np.inf
    message = json.loads(to_json(pose_message(frame)))
    assert message["joint_angles"][3] is None
    assert message["landmarks"][0][1] is None
    assert message["joint_angles"][4] is not None


@pytest.mark.parametrize("id_value", [None, 5, -(2**63), "abc"])
def test_a_ping_is_read_from_json_and_msgpack(id_value: object) -> None:
    request = {"type": "ping", "id": id_value}
    assert read_request(json.dumps(request)) == Ping(id_value)  # type: ignore[arg-type]
    assert read_request(msgpack.packb(request)) == Ping(id_value)  # type: ignore[arg-type]


def test_a_subscription_is_read_from_json_and_msgpack() -> None:
    request = {"type": "subscribe", "rate_hz": 10}
    assert read_request(json.dumps(request)) == Subscribe(10.0)
    assert read_request(msgpack.packb(request)) == Subscribe(10.0)
    assert read_request('{"type":"subscribe","rate_hz":null}') == Subscribe(None)


@pytest.mark.parametrize(
    "data",
    [
        "",
        "{",
        "[]",
        "5",
        '{"type":"shutdown"}',
        '{"type":"ping","id":1,"more":2}',
        '{"type":"ping","id":true}',
        '{"type":"ping","id":1.5}',
        r'{"type":"ping","id":"\ud800"}',
        '{"type":"ping","id":"' + "x" * 65 + '"}',
        '{"type":"ping","id":' + "9" * 30 + "}",
        '{"type":"subscribe"}',
        '{"type":"subscribe","rate_hz":0}',
        '{"type":"subscribe","rate_hz":-1}',
        '{"type":"subscribe","rate_hz":NaN}',
        '{"type":"subscribe","rate_hz":1e999}',
        '{"type":"subscribe","rate_hz":"50"}',
        '{"type":["ping"]}',
        "[" * 1000,
        '{"a":' * 180,
        b"",
        b"\x00",
        b"\xc1",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x91" * 1000,
        b"\xc7\x08\xff" + struct.pack(">q", -1),
        msgpack.packb({"type": "ping", "id": b"bytes"}),
        msgpack.packb({b"type": b"ping"}),
        msgpack.packb({"type": "ping", "id": msgpack.Timestamp(1)}),
        b"\x81\x91\x01\x01",
    ],
    ids=str,
)
def test_what_is_no_request_is_refused(data: str | bytes) -> None:
    with pytest.raises(RequestError):
        read_request(data)


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200)))
def test_rubbish_is_refused_and_never_crashes(data: str | bytes) -> None:
    with pytest.raises(RequestError):
        read_request(data)
