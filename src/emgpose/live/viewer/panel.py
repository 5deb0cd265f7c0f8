"""The viewer's controls and read-outs."""

from typing import TYPE_CHECKING, Final

from emgpose.live.smoothing import DEFAULT_SMOOTHING, OneEuro
from emgpose.live.viewer import markup

if TYPE_CHECKING:
    from viser import GuiHtmlHandle, ViserServer

    from emgpose.live.calibration_run import CalibrationDesk
    from emgpose.live.engine_settings import EngineSettings
    from emgpose.live.run import Controls

MIN_CUTOFF_RANGE_HZ: Final = (0.1, 10.0)
BETA_RANGE: Final = (0.0, 20.0)
PANEL_WIDTH: Final = 330


class Panel:
    """Everything around the hands: state, timing, EMG, and the controls, which go to the engine through `Controls`.

    Parameters
    ----------
    server : ViserServer
    controls : Controls
    settings : EngineSettings
        As the engine begins.
    desk : CalibrationDesk or None
        None where nobody could follow what a calibration asks for.
    """

    def __init__(
        self, server: "ViserServer", controls: "Controls", settings: "EngineSettings", desk: "CalibrationDesk | None"
    ) -> None:
        self._server, self._controls = server, controls
        gui = server.gui
        gui.configure_theme(show_logo=False, show_share_button=False)
        self.state = gui.add_html(markup.state_line(None, False))
        self._add_pause()
        self.facts = gui.add_html("")
        self.warnings = gui.add_html("")
        self._add_smoothing(settings)
        self.calibration = None if desk is None else self._add_calibration(desk)
        dark = gui.add_checkbox("Dark", False)
        dark.on_update(lambda _: self._theme(dark.value))
        self._panel = gui.add_panel()
        with self._panel.add_tab("EMG"):
            self.emg = gui.add_html("")
        self._panel.dock_left()
        self._panel.set_width(PANEL_WIDTH)
        gui.main_panel.dock_right()
        gui.main_panel.set_width(PANEL_WIDTH)

    def _theme(self, dark: bool) -> None:
        self._server.gui.configure_theme(show_logo=False, show_share_button=False, dark_mode=dark)

    def _add_pause(self) -> None:
        gui, controls = self._server.gui, self._controls
        button = gui.add_button("Pause", hint="Hold the pose for every receiver, or go on")
        again = gui.add_button("Start again", hint="Model and filters begin again from the initial pose")

        @button.on_click
        def pause(_: object) -> None:
            controls.pause(not controls.paused)
            button.label = "Go on" if controls.paused else "Pause"

        again.on_click(lambda _: controls.ask(lambda engine: engine.reset()))

    def _add_calibration(self, desk: "CalibrationDesk") -> "GuiHtmlHandle":
        gui = self._server.gui
        with gui.add_folder("Calibration"):
            begin = gui.add_button("Calibrate", hint="Rest, then hold the poses that are shown; about half a minute")
            cancel = gui.add_button("Cancel")
            text = gui.add_html("")
        begin.on_click(lambda _: desk.begin())
        cancel.on_click(lambda _: desk.cancel())
        return text

    def _add_smoothing(self, settings: "EngineSettings") -> None:
        gui, shown = self._server.gui, settings.smoothing or DEFAULT_SMOOTHING
        with gui.add_folder("Pose"):
            on = gui.add_checkbox("Smoothing", settings.smoothing is not None)
            cutoff = gui.add_slider(
                "Cutoff [Hz]",
                *MIN_CUTOFF_RANGE_HZ,
                0.1,
                _within(shown.min_cutoff_hz, MIN_CUTOFF_RANGE_HZ),
                hint="Cutoff of a hand that does not move; lower is calmer",
            )
            beta = gui.add_slider(
                "Beta",
                *BETA_RANGE,
                0.1,
                _within(shown.beta, BETA_RANGE),
                hint="How much the cutoff rises with speed [Hz per rad/s]; higher follows faster",
            )
            limits = gui.add_checkbox("Joint limits", settings.joint_limits)

        def smooth(_: object) -> None:
            chosen = OneEuro(cutoff.value, beta.value, shown.speed_cutoff_hz) if on.value else None
            self._controls.ask(lambda engine: engine.set_smoothing(chosen))

        def limit(_: object) -> None:
            kept = limits.value
            self._controls.ask(lambda engine: engine.set_joint_limits(kept))

        for handle in (on, cutoff, beta):
            handle.on_update(smooth)
        limits.on_update(limit)


def _within(value: float, bounds: tuple[float, float]) -> float:
    return min(max(value, bounds[0]), bounds[1])
