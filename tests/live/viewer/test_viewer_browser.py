"""The viewer in a real browser: headless Chromium, without any network but this machine."""

import io

import numpy as np
import pytest

from emgpose.hand import JOINT_INDEX, N_JOINTS, N_LANDMARKS
from emgpose.kinematics import HandModel
from emgpose.live.chunk import EmgChunk, SourceFacts
from emgpose.live.engine_settings import EngineSettings
from emgpose.live.guided_calibration import Cue
from emgpose.live.pose_frame import Hello, PoseFrame
from emgpose.live.run import Controls
from emgpose.live.smoothing import DEFAULT_SMOOTHING
from emgpose.live.viewer.app import Viewer
from emgpose.live.viewer.hand_mesh import HandMesh

pytest.importorskip("viser", reason="needs viser (extra: live)")
Image = pytest.importorskip("PIL.Image", reason="needs Pillow")
pytestmark = pytest.mark.slow

NAMES = tuple(f"emg{channel}" for channel in range(16))
FACTS = SourceFacts("made <b>up</b>", 2000.0, NAMES, is_simulated=True)
HELLO = Hello("emgpose50", "tracking", FACTS.name, "hand", 50.0, 2000.0, NAMES, 0.0, "right", "simulated", True)
FLAT = np.zeros(N_JOINTS, np.float32)
FIST = np.array([1.2 if joint >= 4 and joint % 4 else 0.3 for joint in range(N_JOINTS)], np.float32)
# As far as thumb and little finger go.
SPREAD = np.zeros(N_JOINTS, np.float32)
SPREAD[[JOINT_INDEX["THUMB_CMC_FE"], JOINT_INDEX["PINKY_MCP_AA"]]] = np.radians([-35, -50])
PATIENCE_S = 60


class Settable:
    """Notes what the loop would ask of the engine."""

    def __init__(self):
        self.asked = []

    def __getattr__(self, name):
        return lambda *values: self.asked.append((name, *values))


def frame(angles, reason="", truth=None, quality=1.0):
    landmarks = np.zeros((N_LANDMARKS, 3), np.float32)
    qualities = np.full(16, quality, np.float32)
    return PoseFrame(0, 0, 0.0, angles, landmarks, qualities, bool(reason), reason, truth)


class Desk:
    """A calibration that asks for a fist once it has begun."""

    cue, text = None, ""

    def begin(self):
        self.cue, self.text = Cue("fist", "Make a fist."), "Make a fist. (3 s to go)"

    def cancel(self):
        self.cue, self.text = None, ""


@pytest.fixture
def controls():
    return Controls()


@pytest.fixture
def viewer(controls):
    warnings = ("the weights saw no person",)
    made = Viewer(HandMesh.of(HandModel.generic()), controls, EngineSettings(), desk=Desk(), warnings=warnings, port=0)
    made.set_up(HELLO, FACTS)
    yield made
    made.close()


@pytest.fixture
def opened(browser, viewer):
    """The page; whatever it asked the network for is in `page.asked`."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    page = context.new_page()
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(viewer.url)
    page.get_by_role("button", name="Pause").wait_for(timeout=1000 * PATIENCE_S)
    yield page
    context.close()


def drawn(viewer, page, shown, until):
    """Show a pose until the photograph is as it should be."""
    viewer.send(shown)
    for _ in range(4 * PATIENCE_S):
        viewer.draw_hands()
        viewer.draw_text()
        pixels = photograph(page)
        if until(pixels):
            return pixels
        page.wait_for_timeout(250)
    raise AssertionError(f"the photograph never became what was expected of {shown}")


def photograph(page):
    """The middle of the page, between the panels, (y, x, rgb)."""
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return np.asarray(image, dtype=int)[160:, 345:940]


def n_blue(pixels):
    return np.count_nonzero(pixels[..., 2] - pixels[..., 0] > 25)


def n_orange(pixels):
    return np.count_nonzero(pixels[..., 0] - pixels[..., 2] > 40)


def test_the_hand_moves_turns_grey_and_has_the_truth_beside_it(viewer, opened):
    flat = drawn(viewer, opened, frame(FLAT), lambda pixels: n_blue(pixels) > 20_000)
    assert n_orange(flat) == 0
    # Bent fingers cover less.
    drawn(viewer, opened, frame(FIST), lambda pixels: 0.4 < n_blue(pixels) / n_blue(flat) < 0.8)
    drawn(viewer, opened, frame(FLAT, "gap"), lambda pixels: n_blue(pixels) < 200)
    assert opened.get_by_text("STALE").is_visible()
    both = drawn(viewer, opened, frame(FLAT, truth=FIST), lambda pixels: min(n_blue(pixels), n_orange(pixels)) > 8_000)
    blue = np.flatnonzero((both[..., 2] - both[..., 0] > 25).any(axis=0))
    orange = np.flatnonzero((both[..., 0] - both[..., 2] > 40).any(axis=0))
    assert blue.mean() < orange.mean()


def test_panels_show_source_emg_quality_warnings_and_error(viewer, opened):
    rng = np.random.default_rng(1)
    viewer.record(EmgChunk(0, rng.standard_normal((6000, 16)).astype(np.float32), 3.0))
    viewer.send(frame(FLAT, truth=FIST, quality=0.2))
    viewer.draw_text()
    opened.get_by_text("made <b>up</b>, 2000 Hz, simulated").wait_for(timeout=1000 * PATIENCE_S)
    opened.get_by_text("the weights saw no person").wait_for()
    assert opened.get_by_text("poor").count() == 16
    assert opened.locator("[data-emg] svg").count() == 16
    assert opened.locator("[data-emg] path").first.get_attribute("d").count("M") == 150
    assert opened.get_by_text("over the last 2 s").is_visible()


def test_pause_smoothing_limits_and_restart_reach_the_engine(controls, viewer, opened):
    opened.get_by_role("button", name="Pause").click()
    opened.get_by_role("button", name="Go on").wait_for()
    assert controls.paused
    opened.get_by_role("button", name="Go on").click()
    opened.get_by_role("button", name="Pause").wait_for()
    assert not controls.paused
    engine = Settable()

    def until_asked(name):
        for _ in range(4 * PATIENCE_S):
            controls.carry_out(engine)
            if engine.asked and engine.asked[-1][0] == name:
                return engine.asked[-1][1:]
            opened.wait_for_timeout(250)
        raise AssertionError(f"{name} was never asked for, only {engine.asked}")

    opened.get_by_label("Smoothing").uncheck()
    assert until_asked("set_smoothing") == (None,)
    opened.get_by_label("Joint limits").uncheck()
    assert until_asked("set_joint_limits") == (False,)
    opened.get_by_label("Smoothing").check()
    assert until_asked("set_smoothing") == (DEFAULT_SMOOTHING,)
    opened.get_by_role("button", name="Start again").click()
    until_asked("reset")


def test_a_calibration_shows_what_to_do_until_it_is_cancelled(viewer, opened):
    opened.get_by_role("button", name="Calibrate").click()
    drawn(viewer, opened, frame(FLAT), lambda pixels: n_orange(pixels) > 8_000)
    opened.get_by_text("Make a fist. (3 s to go)").wait_for()
    opened.get_by_role("button", name="Cancel").click()
    drawn(viewer, opened, frame(FLAT), lambda pixels: n_orange(pixels) < 200)
    assert opened.get_by_text("Make a fist.").count() == 0


def test_the_page_can_be_dark(viewer, opened):
    light = drawn(viewer, opened, frame(FLAT), lambda pixels: n_blue(pixels) > 20_000)
    assert np.median(light) > 200
    opened.get_by_role("checkbox", name="Dark", exact=True).check()
    drawn(viewer, opened, frame(FLAT), lambda pixels: np.median(pixels) < 60 and n_blue(pixels) > 20_000)


def test_the_page_works_without_any_network(viewer, opened):
    drawn(viewer, opened, frame(FLAT), lambda pixels: n_blue(pixels) > 20_000)
    assert all(url.startswith((viewer.url, "blob:", "data:")) for url in opened.asked)


@pytest.mark.parametrize("height", [844, 640])
def test_a_phone_shows_both_hands_above_the_controls(browser, viewer, height):
    context = browser.new_context(viewport={"width": 390, "height": height}, is_mobile=True, has_touch=True)
    page = context.new_page()
    page.goto(viewer.url)
    page.get_by_role("button", name="Pause").wait_for(timeout=1000 * PATIENCE_S)

    def both(_):
        image = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"), dtype=int)
        # Below what viser says of slow computers, and above the controls.
        between, edges = image[135 : int(0.4 * height)], image[135:, [0, 1, -2, -1]]
        return n_blue(between) > 2_000 and n_orange(between) > 2_000 and not n_blue(edges) + n_orange(edges)

    drawn(viewer, page, frame(SPREAD, truth=SPREAD), both)
    context.close()
