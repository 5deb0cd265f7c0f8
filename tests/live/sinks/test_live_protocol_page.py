"""The page that documents the messages names all that is in them."""

from pathlib import Path

import h5py
import pytest
from made_poses import HELLO, SCALED, made_chunks, made_frame
from pythonosc.osc_bundle import OscBundle

from emgpose.live.sinks.messages import (
    SUBPROTOCOL_JSON,
    SUBPROTOCOL_MSGPACK,
    hello_message,
    pose_message,
)
from emgpose.live.sinks.osc import pose_bundle
from emgpose.live.sinks.recorder import Recorder

PAGE = Path(__file__).resolve().parents[3] / "docs" / "live_protocol.md"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_page_names_every_key_of_hello_and_pose(page: str) -> None:
    for key in (*hello_message(HELLO), *pose_message(made_frame(0))):
        assert f"`{key}`" in page


def test_the_page_names_the_subprotocols_and_osc_addresses(page: str) -> None:
    addresses = [message.address for message in OscBundle(pose_bundle(made_frame(0, truth=True)))]
    for name in (SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, *addresses, "/emgpose/hello"):
        assert f"`{name}`" in page


def test_the_page_names_what_a_recording_says_of_itself(page: str, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "rec.hdf5")
    recorder.open(SCALED)
    recorder.record(made_chunks(20)[0])
    recorder.close()
    with h5py.File(tmp_path / "rec.hdf5") as file:
        for name in {*file["live"], *file["live"].attrs} - {"source_rate_hz"}:
            assert f"`{name}`" in page
