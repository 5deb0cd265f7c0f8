"""The report's page in a real browser: headless Chromium, from a file, without a network."""

import numpy as np
import pytest

from emgpose.evaluation.report import read_runs, write_report
from emgpose.hand import JOINT_INDEX, LANDMARK_INDEX
from emgpose.kinematics import HandModel, forward_kinematics
from made_runs import USERS, made_evaluation, made_training, made_windows


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    root = tmp_path_factory.mktemp('it\'s a "report"')
    left = made_windows(USERS[1:]).assign(side="left")
    training = made_training(root / "training")
    runs = read_runs([made_evaluation(root / "first"), made_evaluation(root / "<b>second", left), training])
    write_report(runs, root / "out", title="</script><script>window.hacked = 1</script>")
    return root / "out" / "report.html"


@pytest.fixture
def open_page(browser, path):
    contexts, complaints, requests = [], [], []

    def opened(width=1280, height=900, **options):
        options = {"reduced_motion": "reduce", **options}
        context = browser.new_context(viewport={"width": width, "height": height}, offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith("file:")] == []


@pytest.mark.parametrize("width", [1280, 375])
def test_nothing_complains_and_nothing_is_wider_than_the_page(open_page, width):
    page = open_page(width)
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("h1").inner_text() == "</script><script>window.hacked = 1</script>"


def test_one_condition_is_shown_at_a_time(open_page):
    page = open_page()
    assert page.locator("[data-condition]:visible").count() == 1
    page.locator("[data-show=user_stage]").click()
    assert page.locator("[data-condition]:visible").get_attribute("data-condition") == "user_stage"
    assert page.locator("[data-show=user_stage]").get_attribute("aria-pressed") == "true"


def test_the_recorded_hand_bends_its_index_finger_and_the_predicted_one_rests(open_page):
    page = open_page()
    assert page.locator(".player:visible").count() == 3
    found = np.array(page.evaluate("[0, 1].map((track) => emgpose.report.landmarks(0, track, 200))"))
    poses = np.zeros((2, 20), dtype=np.float32)
    poses[1, JOINT_INDEX["INDEX_MCP_FE"]] = 0.8
    assert np.abs(found - forward_kinematics(poses, HandModel.generic())).max() < 0.02


def test_play_moves_the_hands_and_another_run_shows_its_own(open_page):
    page = open_page()
    before = page.locator(".player canvas").first.screenshot()
    page.locator("#play").click()
    page.wait_for_function("() => emgpose.report.frame() > 20")
    page.locator("#play").click()
    assert page.locator("#play").get_attribute("aria-label") == "Play"
    assert page.locator(".player canvas").first.screenshot() != before
    page.locator("#run").select_option("B")
    assert "left hand" in page.locator(".player figcaption").first.inner_text()
    tip = page.evaluate("emgpose.report.landmarks(0, 0, 0)")[LANDMARK_INDEX["THUMB_TIP"]]
    expected = forward_kinematics(np.zeros((1, 20), dtype=np.float32), HandModel.generic("left"))[0]
    assert np.abs(np.array(tip) - expected[LANDMARK_INDEX["THUMB_TIP"]]).max() < 0.02


def test_dark_follows_the_system_and_the_button(open_page):
    page = open_page(color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.locator("#theme").click()
    assert page.locator("#theme").inner_text() == "Dark"
    assert page.evaluate(background) != dark


def test_everything_is_there_without_scripts(open_page):
    page = open_page(java_script_enabled=False)
    assert page.locator("[data-condition]:visible").count() == 3
    assert page.locator("noscript p").inner_text().startswith("The moving hands need JavaScript")


def test_runs_are_told_apart_without_colour(open_page):
    page = open_page()
    line = "[data-condition=user] polyline.line.r{}"
    dashes = [page.locator(line.format(number)).first.get_attribute("stroke-dasharray") for number in range(2)]
    assert dashes[0] != dashes[1]
    assert page.locator("[data-condition=user] .marker.r0 circle").count() > 0
    assert page.locator("[data-condition=user] .marker.r1 polygon").count() > 0
    assert page.locator("[data-condition=user] text.letter").all_text_contents()[:2] == ["A", "B"]
