"""What the panels say, and that names from devices cannot become HTML."""

import numpy as np
import pytest

from emgpose.live.pose_frame import Hello, PoseFrame
from emgpose.live.viewer import markup

HELLO = Hello(
    "emgpose50", "regression", "lsl:<b>x</b>", "generic hand", 50.0, 2000.0, ("a",), 0.04, "left", "simulated", True
)


def frame(reason=""):
    zeros = np.zeros((21, 3), np.float32)
    return PoseFrame(0, 0, 0.0, zeros[:20, 0], zeros, np.ones(1, np.float32), bool(reason), reason)


@pytest.mark.parametrize(
    ("shown", "paused", "word"),
    [
        (None, False, "WAITING"),
        (frame(), False, "LIVE"),
        (frame("gap"), False, "STALE"),
        (frame("paused"), True, "PAUSED"),
    ],
)
def test_the_state_is_one_word(shown, paused, word):
    line = markup.state_line(shown, paused)
    assert f">{word}<" in line
    assert f'data-state="{word.lower()}"' in line


def test_a_stale_pose_says_why():
    assert "gap" in markup.state_line(frame("gap"), False)


def test_names_are_escaped_everywhere():
    bad = "<script>alert(1)</script>"
    pages = [
        markup.state_line(frame(bad), False),
        markup.facts({bad: bad}),
        markup.warnings([bad]),
        markup.emg_rows([bad], [""], {}),
        markup.facts(markup.about(HELLO)),
    ]
    assert not any("<script" in page or "<b>x" in page for page in pages)


def test_facts_name_model_source_and_what_the_weights_saw():
    rows = markup.about(HELLO)
    assert "trained on: simulated" in rows["model"]
    assert "2000 Hz, simulated" in rows["source"]
    assert "left" in rows["hand"]


def test_timing_and_error_have_units():
    ms = {"p50": 2.04, "p99": 7.0}
    assert markup.timing(ms, ms, 0.04) == {
        "computing": "2.0 ms, p99 7.0",
        "latency": "2.0 ms, p99 7.0",
        "look-ahead": "40 ms",
    }
    assert markup.error_row(None) == {}
    assert markup.error_row(np.pi / 18)["error"].startswith("10.0 deg")


def test_a_poor_channel_has_a_word_and_an_unused_one_too():
    rows = markup.emg_rows(["a", "b", "c"], ["", "", ""], {"a": 1.0, "b": 0.0})
    assert rows.count("poor") == 1
    assert rows.count("unused") == 1
