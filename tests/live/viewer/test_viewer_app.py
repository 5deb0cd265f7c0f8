"""What the viewer shows of the engine's frames, without a browser."""

from dataclasses import replace

import numpy as np
import pytest

from emgpose.kinematics import HandModel
from emgpose.live.engine import Engine
from emgpose.live.run import Controls
from emgpose.live.viewer.app import Viewer
from emgpose.live.viewer.hand_mesh import HandMesh
from emgpose.models import build_model
from made_streams import PLAIN, chunk, facts, made_emg

pytest.importorskip("viser", reason="needs viser (extra: live)")


def shown_emg(channel_map: tuple[int | None, ...]) -> str:
    source = facts(channel_names=tuple(f"E{number}" for number in range(1, 9)))
    settings = replace(PLAIN, channel_map=channel_map)
    engine = Engine(build_model("static_tracking"), source, settings=settings)
    emg = made_emg(2_000, 8)
    emg[:, 2] = 0
    viewer = Viewer(HandMesh.of(HandModel.generic()), Controls(), settings, port=0)
    viewer.set_up(engine.hello, source)
    try:
        for frame in engine.push(chunk(emg, 0, 2_000)):
            viewer.send(frame)
        viewer.draw_text()
        return viewer._panel.emg.content
    finally:
        viewer.close()


def test_the_quality_of_a_channel_that_several_of_the_models_get_is_shown() -> None:
    shown = shown_emg(tuple(np.repeat(np.arange(8), 2).tolist()))
    assert "unused" not in shown
    assert (shown.count('title="100%"'), shown.count('title="0%"')) == (7, 1)


def test_a_channel_that_the_model_does_not_get_is_unused() -> None:
    shown = shown_emg((*range(7), *(None,) * 9))
    assert shown.count("unused") == 1
    assert (shown.count('title="100%"'), shown.count('title="0%"')) == (6, 1)
