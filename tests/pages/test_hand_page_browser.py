"""The page in a real browser: headless Chromium, from a file, without a network."""

import io
from dataclasses import dataclass, field

import numpy as np
import pytest

from emgpose.hand import LANDMARK_INDEX, N_JOINTS
from emgpose.kinematics import HandModel, forward_kinematics
from emgpose.pages import EmgEnvelope, Track, write_hand_page

THUMB_TIP, INDEX_TIP, MIDDLE_TIP, PINKY_TIP, WRIST = (
    LANDMARK_INDEX[name] for name in ("THUMB_TIP", "INDEX_TIP", "MIDDLE_TIP", "PINKY_TIP", "WRIST")
)
FLEXION = [joint for joint in range(4, N_JOINTS) if joint % 4]
GAP = (100, 120)


@dataclass
class Opened:
    """A page, and whatever it complained about or asked the network for."""

    page: object
    complaints: list = field(default_factory=list)
    requests: list = field(default_factory=list)

    def landmarks(self, frame, track=0):
        return np.array(self.page.evaluate("([frame, track]) => emgpose.landmarks(frame, track)", [frame, track]))

    def projected(self, frame):
        return np.array(self.page.evaluate("frame => emgpose.project(frame)", frame))

    def frame(self):
        return self.page.evaluate("emgpose.frame()")


@pytest.fixture
def open_page(browser):
    contexts = []

    def opened(path, width=1280, height=900, before="", **options):
        context = browser.new_context(
            viewport={"width": width, "height": height}, offline=True, **{"reduced_motion": "reduce", **options}
        )
        contexts.append(context)
        page = context.new_page()
        result = Opened(page)
        page.on("console", lambda message: result.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: result.complaints.append(str(error)))
        page.on("request", lambda request: result.requests.append(request.url))
        if before:
            page.add_init_script(before)
        page.goto(path.as_uri())
        return result

    yield opened
    for context in contexts:
        context.close()


def poses(n_frames=300):
    """Frame 0 flat, frame 1 all fingers bent, then random poses."""
    angles = np.random.default_rng(5).uniform(-0.5, 1.5, (n_frames, N_JOINTS))
    angles[:2] = 0
    angles[1, FLEXION] = 1.2
    return angles


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    valid = np.ones(300, dtype=bool)
    valid[slice(*GAP)] = False
    times_s = np.arange(300) / 50
    emg = EmgEnvelope([f"emg{i}" for i in range(16)], 2000, 60)
    emg.add(np.random.default_rng(0).standard_normal((12_000, 16)).astype(np.float32))
    paths = {}
    for side in ("right", "left"):
        paths[side] = folder / f'it\'s a "{side}" page.html'
        write_hand_page(
            paths[side],
            title=f"</script><script>window.hacked = 1</script> {side} & 'co'",
            hand=HandModel.generic(side),
            tracks=[Track("predicted <b>", times_s, poses()), Track("recorded", times_s, poses()[::-1], valid)],
            emg=emg,
            causal=True,
            warnings=["Untrained weights."],
        )
    return paths


def test_play_moves_the_hand_and_nothing_complains_or_asks_the_network(pages, open_page):
    opened = open_page(pages["right"])
    page = opened.page
    before = opened.landmarks(opened.frame())
    picture = page.locator("#hand").screenshot()
    page.locator("#play").click()
    page.wait_for_function("() => emgpose.frame() > 10")
    page.locator("#play").click()
    stopped = opened.frame()
    assert page.locator("#play").get_attribute("aria-label") == "Play"
    assert np.abs(opened.landmarks(int(stopped)) - before).max() > 5
    assert page.locator("#hand").screenshot() != picture
    page.locator("#slider").fill("290")
    page.wait_for_function("() => document.getElementById('clock').textContent.startsWith('5.80 s')")
    assert opened.frame() == 290
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith("file:")] == []


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_browser_places_landmarks_where_python_does(pages, open_page, side):
    opened = open_page(pages[side])
    expected = forward_kinematics(poses(), HandModel.generic(side))
    found = np.array([opened.landmarks(frame) for frame in range(0, 300, 30)])
    assert np.abs(found - expected[::30]).max() < 0.02


def test_the_skin_follows_the_bones_as_in_python(pages, open_page):
    opened = open_page(pages["right"])
    skin = opened.page.evaluate(
        """() => {
            const hand = new emgpose.Hand(JSON.parse(document.getElementById("data").textContent).hand);
            const positions = new Float32Array(3 * hand.nVertices);
            const angles = Array.from({ length: 20 }, (_, joint) => joint >= 4 && joint % 4 ? 1.2 : 0);
            hand.skin(angles, positions, new Float32Array(3 * hand.nVertices));
            return Array.from(positions);
        }"""
    )
    expected = HandModel.generic().vertices(poses()[1]) * [1, 1, -1]
    # Only the weights of a fifth bone and beyond are missing.
    assert np.abs(np.reshape(skin, (-1, 3)) - expected).max() < 0.5


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_right_hand_looks_right_and_a_left_hand_left(pages, open_page, side):
    opened = open_page(pages[side])
    opened.page.locator("[data-view=back]").click()
    flat, bent = opened.projected(0), opened.projected(1)
    outward = -1 if side == "right" else 1
    # The back of a right hand, fingers up: thumb on the left, little finger on the right.
    assert outward * (flat[THUMB_TIP, 0] - flat[MIDDLE_TIP, 0]) > 20
    assert outward * (flat[MIDDLE_TIP, 0] - flat[PINKY_TIP, 0]) > 20
    assert flat[MIDDLE_TIP, 1] < flat[WRIST, 1] - 100
    # Fingers bend away from who looks at the back, and towards who looks at the palm.
    assert (bent[INDEX_TIP : PINKY_TIP + 1, 2] < flat[INDEX_TIP : PINKY_TIP + 1, 2] - 20).all()
    opened.page.locator("[data-view=palm]").click()
    palm = opened.projected(0)
    assert outward * (palm[THUMB_TIP, 0] - palm[MIDDLE_TIP, 0]) < -20
    assert (opened.projected(1)[INDEX_TIP : PINKY_TIP + 1, 2] > palm[INDEX_TIP : PINKY_TIP + 1, 2] + 20).all()


def test_a_left_hand_is_the_mirror_image_of_a_right_one(pages, open_page):
    right, left = open_page(pages["right"]), open_page(pages["left"])
    width = right.page.evaluate("document.getElementById('hand').clientWidth") / 2
    seen, mirrored = right.projected(7), left.projected(7)
    np.testing.assert_allclose(mirrored[:, 0], width - seen[:, 0], atol=0.01)
    np.testing.assert_allclose(mirrored[:, 1:], seen[:, 1:], atol=0.01)


def test_keys_play_and_step(pages, open_page):
    opened = open_page(pages["right"])
    start = opened.frame()
    opened.page.keyboard.press("ArrowRight")
    assert opened.frame() == start + 5
    opened.page.keyboard.press("Shift+ArrowRight")
    assert opened.frame() == start + 55
    opened.page.keyboard.press("ArrowLeft")
    assert opened.frame() == start + 50
    opened.page.keyboard.press("Space")
    assert opened.page.locator("#play").get_attribute("aria-label") == "Pause"
    # The focused button keeps its own space key: one press, one toggle.
    opened.page.locator("#play").focus()
    opened.page.keyboard.press("Space")
    assert opened.page.locator("#play").get_attribute("aria-label") == "Play"


def test_dragging_turns_the_hand(pages, open_page):
    opened = open_page(pages["right"])
    before = opened.projected(0)
    box = opened.page.locator("#hand").bounding_box()
    opened.page.mouse.move(box["x"] + 100, box["y"] + 100)
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + 180, box["y"] + 110)
    opened.page.mouse.up()
    assert np.abs(opened.projected(0) - before).max() > 20
    assert opened.page.locator("[data-view][aria-pressed=true]").count() == 0


def test_a_pose_that_is_not_usable_is_said_to_be_missing(pages, open_page):
    opened = open_page(pages["right"])
    opened.page.evaluate("emgpose.setFrame(110)")
    opened.page.wait_for_function("() => document.getElementById('names').textContent.includes('no recorded pose')")
    assert "none here" in opened.page.locator("#difference").text_content()


def test_text_from_outside_stays_text(pages, open_page):
    opened = open_page(pages["right"])
    assert opened.page.evaluate("window.hacked") is None
    assert opened.page.title() == "</script><script>window.hacked = 1</script> right & 'co'"
    assert "predicted <b>" in opened.page.locator("#names").text_content()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_sees_the_whole_width_in_either_scheme(pages, open_page, scheme):
    opened = open_page(pages["right"], 390, 844, color_scheme=scheme)
    assert opened.page.evaluate("document.documentElement.dataset.theme") == scheme
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390
    opened.page.locator("#finger").select_option("all")
    assert opened.page.locator("#joints").bounding_box()["height"] > 600
    assert opened.complaints == []


@pytest.mark.parametrize("width", [390, 1280])
def test_names_of_one_long_word_stay_inside_the_page(tmp_path, open_page, width):
    word = "long_name_" * 40
    times_s = np.arange(100) / 50
    tracks = [Track(word + end, times_s, poses(100)) for end in "ab"]
    emg = EmgEnvelope([word + str(i) for i in range(8)], 2000, 2)
    emg.add(np.random.default_rng(0).standard_normal((4000, 8)).astype(np.float32))
    path = tmp_path / "long.html"
    write_hand_page(path, title=word, hand=HandModel.generic(), tracks=tracks, emg=emg, causal=True, warnings=[word])
    opened = open_page(path, width, 900)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width


def specks(picture):
    """Pixels that are darker than an otherwise even ring two pixels around them."""
    grey = picture.astype(float).sum(axis=2)
    rows, columns = grey.shape
    ring = [(i, j) for i in range(5) for j in range(5) if max(abs(i - 2), abs(j - 2)) == 2]
    around = np.stack([grey[i : rows - 4 + i, j : columns - 4 + j] for i, j in ring])
    even = np.ptp(around, axis=0) < 0.06 * around.mean(axis=0)
    return int((even & (grey[2:-2, 2:-2] < 0.95 * around.min(axis=0))).sum())


def test_the_skin_has_no_dark_specks(pages, open_page):
    image = pytest.importorskip("PIL.Image")
    opened = open_page(pages["right"])
    found = 0
    for view in ("front", "palm", "back", "side"):
        opened.page.locator(f"[data-view={view}]").click()
        opened.page.evaluate("emgpose.setFrame(0)")
        opened.page.wait_for_timeout(200)
        picture = image.open(io.BytesIO(opened.page.locator("#hand").screenshot()))
        found += specks(np.asarray(picture.convert("RGB")))
    assert found <= 12  # contours between fingers; without centroid sampling 28


def test_without_webgl_the_page_says_so_and_draws_a_stick_figure(pages, open_page):
    without = """
        const before = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
            return kind.startsWith("webgl") ? null : before.call(this, kind, ...rest);
        };"""
    opened = open_page(pages["right"], before=without)
    assert opened.page.locator("#no-webgl").is_visible()
    picture = opened.page.locator("#hand").screenshot()
    opened.page.keyboard.press("ArrowRight")
    opened.page.wait_for_timeout(100)
    assert opened.page.locator("#hand").screenshot() != picture
    assert opened.complaints == []


def test_printing_shows_the_whole_span_in_light_colours(pages, open_page):
    opened = open_page(pages["right"], color_scheme="dark")
    assert len(opened.page.pdf(format="A4")) > 20_000
    opened.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert opened.page.evaluate("document.documentElement.dataset.theme") == "light"
    opened.page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert opened.page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert opened.complaints == []
