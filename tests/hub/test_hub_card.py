"""The card: what it says, and that strangers' text stays text."""

import dataclasses
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from emgpose.hub.card import card_text
from emgpose.hub.scores import ConditionScore, HubScores
from exported_models import narrow_model
from small_models import small_model


def scores(**changes):
    condition = ConditionScore("user", 12.345, 1.25, 18.7, 16.28, 3, 40)
    base = HubScores(
        *("sim", "test", "simulated", "abc123", "regression", "stream", "causal", "emgpose generic hand"),
        *("static_median_checkpoint", False, 0, (condition,)),
    )
    return dataclasses.replace(base, **changes)


def parts_of(text):
    """Header and body as the Hub divides them."""
    assert text.startswith("---\n")
    header, body = text[4:].split("\n---\n", 1)
    return yaml.safe_load(header), body


def outside_code(body):
    """The body without code spans and fenced blocks, by the rules of CommonMark."""
    kept, fence = [], None
    for line in body.splitlines():
        ticks = len(line) - len(line.lstrip("`"))
        if fence is None and ticks >= 3:
            fence = ticks
        elif fence is not None and ticks >= fence and not line.strip("`"):
            fence = None
        elif fence is None:
            kept.append(_without_spans(line))
    assert fence is None
    return "\n".join(kept)


def _without_spans(line):
    out, i = "", 0
    while i < len(line):
        if line[i] != "`":
            out, i = out + line[i], i + 1
            continue
        n = len(line[i:]) - len(line[i:].lstrip("`"))
        j = i + n
        while j < len(line):
            if line[j] == "`":
                m = len(line[j:]) - len(line[j:].lstrip("`"))
                if m == n:
                    break
                j += m
            else:
                j += 1
        assert j < len(line), f"a code span that does not end: {line}"
        i = j + n
    return out


def test_the_header_tells_the_hub_what_it_is():
    model = small_model("emgpose50")
    model.card = dataclasses.replace(model.card, licence="Apache-2.0", trained_on="simulated")
    two = (*scores().conditions, dataclasses.replace(scores().conditions[0], condition="stage", mae_deg=15.0))
    header, _ = parts_of(card_text(model, [scores(conditions=two)], datasets=["someone/emg2pose"]))
    assert header["library_name"] == "emgpose"
    assert header["license"] == "apache-2.0"
    assert header["datasets"] == ["someone/emg2pose"]
    assert header["metrics"] == ["mae"]
    assert {"emg", "tracking", "regression", "causal", "simulated-data"} <= set(header["tags"])
    result, other = header["model-index"][0]["results"]
    assert [metric["value"] for metric in other["metrics"]] == [15.0]
    assert other["dataset"]["config"] == "stage, regression"
    assert result["metrics"][0]["value"] == 12.35
    assert result["dataset"]["name"] == "sim (simulated EMG), user"


def test_the_body_says_task_sizes_rates_causality_scores_and_limits():
    model = small_model("emgpose50")
    model.card = dataclasses.replace(model.card, trained_on="simulated", data_fingerprint="06c9", code_version="0.1.0")
    _, body = parts_of(card_text(model, [scores()], {"optim.lr": "0.001"}))
    for said in (
        "- The weights saw simulated EMG only; on recorded EMG the pose is not to be trusted.",
        "- Task: tracking and regression",
        f"- Parameters: {model.n_parameters:,}",
        "16 channels at 2,000 Hz",
        "50 poses per second",
        f"{model.left_context:,} samples ({model.left_context / 2000:.3f} s) before the first pose",
        "- Mode stream: causal",
        f"to (time - {model.left_context}, joint=20) [rad]; row 0 is sample {model.left_context}",
        'model.set_task("regression")  # it begins with tracking',
        "hand that does not move `static_median_checkpoint`. Mean and SD over users.\n",
        "On **simulated** EMG: `sim`, split `test` (fingerprint `abc123`)",
        "| people not trained on (U) | 12.35 ± 1.25 | 18.70 | 16.28 | 3 | 40 |",
        "- Data fingerprint: `06c9`",
        "optim.lr=0.001",
        "- Licence: not stated",
    ):
        assert said in body


def test_a_model_that_looks_ahead_and_one_that_tracks_are_called_that():
    header, body = parts_of(card_text(narrow_model("regression_neuropose")))
    assert "not-causal" in header["tags"]
    assert "It cannot run live" in body
    _, body = parts_of(card_text(small_model("tracking_vemg2pose")))
    assert "has to be given the pose that it starts from" in body
    assert "None were given." in body


@pytest.mark.parametrize("name", ["emgpose50", "regression_emg2pose", "tracking_emg2pose"])
def test_the_code_on_the_card_runs_and_gives_the_rows_it_promises(name, monkeypatch):
    model = narrow_model(name)
    loaded = SimpleNamespace(model=model)
    monkeypatch.setattr("emgpose.hub.hub_model.HubModel.from_pretrained", lambda name: loaded)
    (code,) = re.findall(r"```python\n(.*?)```", card_text(model), flags=re.DOTALL)
    names = {"emg": np.zeros((4_000, 16), np.float32), "initial_pose": np.zeros(20, np.float32)}
    exec(code, names)
    assert names["joint_angles"].shape == (4_000 - model.left_context, 20)
    assert model.task == ("tracking" if name.startswith("tracking") else "regression")


def test_scores_of_a_part_are_called_that():
    header, body = parts_of(card_text(small_model(), [scores(is_part=True, n_left_out=3)]))
    assert header["model-index"][0]["results"][0]["dataset"]["name"] == "sim (simulated EMG, part), user"
    assert "Only recordings that a query chose were scored. Recordings that could not be read, and so" in body
    assert "are not in it: 3." in body


def test_a_score_that_is_no_number_is_a_dash_and_not_in_the_header():
    nothing = ConditionScore("all", math.nan, math.nan, math.nan, math.nan, 1, 1)
    header, body = parts_of(card_text(small_model(), [scores(conditions=(nothing,))]))
    assert "model-index" not in header
    assert "| all of these | - ± - | - | - | 1 | 1 |" in body


EVIL = (
    "---\nlicense: evil\n---\n",
    "<script>alert(1)</script>",
    "[click](https://evil.example) ![](https://evil.example/pixel.png)",
    "`` ` ``` ` ``",
    "````\n# heading\n````",
    "a | b\n| --- |\n",
    "https://evil.example www.evil.example",
    "\u202eesrever\x1b[31m\x00",
    "- x: *bold* _under_ &amp; \\",
    "`",
    "ends with a tick `",
)


@pytest.mark.parametrize("evil", EVIL)
def test_text_of_strangers_adds_neither_markup_nor_header(evil):
    model = small_model("emgpose50")
    model.card = dataclasses.replace(
        model.card, experiment=evil, data_fingerprint=evil, code_version=evil, licence=evil, notes=evil
    )
    model.name = evil
    condition = dataclasses.replace(scores().conditions[0], condition=evil)
    one = scores(
        **dict.fromkeys(
            ("data", "split", "data_fingerprint", "task", "mode", "causality", "hand", "static_hand"), evil
        ),
        conditions=(condition,),
    )
    harmless = card_text(small_model("emgpose50"), [scores()], {"a": "b"}, ["d"])
    text = card_text(model, [one], {"a": evil.replace("\n", " ")}, [evil])
    header, body = parts_of(text)
    wanted, _ = parts_of(harmless)
    assert set(header) - {"license", "license_name"} == set(wanted)
    assert header["license"] == "other"
    assert header["library_name"] == "emgpose"
    assert not any(ord(character) < 32 and character != "\n" for character in text)
    assert "\u202e" not in text
    plain = outside_code(body)
    for sign in ("<", "evil.example", "![", "\n---", "*bold*", "&amp;"):
        assert sign not in plain
    headings = [line for line in plain.splitlines() if line.startswith("#")]
    assert len(headings) == 6
    # Every row of the table has its six cells.
    assert {line.count("|") for line in plain.splitlines() if line.startswith("|")} == {7}


def test_a_licence_the_hub_does_not_know_gets_a_name_of_its_own():
    model = small_model()
    model.card = dataclasses.replace(model.card, licence="CC BY-NC-SA 4.0")
    assert parts_of(card_text(model))[0]["license"] == "cc-by-nc-sa-4.0"
    model.card = dataclasses.replace(model.card, licence="Only for Anna & Bo")
    header, body = parts_of(card_text(model))
    assert (header["license"], header["license_name"]) == ("other", "only-for-anna-bo")
    assert "- Licence: `Only for Anna & Bo`" in body
