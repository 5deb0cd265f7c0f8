"""The viewer: takes poses and EMG from the loop, and draws the newest in browsers from a thread of its own."""

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np

from emgpose.live.chunk import EmgChunk, SourceFacts
from emgpose.live.pose_frame import Hello, PoseFrame
from emgpose.live.viewer import markup
from emgpose.live.viewer.hand_mesh import HandMesh
from emgpose.live.viewer.panel import Panel
from emgpose.live.viewer.scene import HandScene
from emgpose.live.viewer.server import DEFAULT_PORT, check_host, start_server
from emgpose.live.viewer.traces import EmgTraces

if TYPE_CHECKING:
    from viser import ViserServer

    from emgpose.live.calibration_run import CalibrationDesk
    from emgpose.live.engine_settings import EngineSettings
    from emgpose.live.run import Controls

# Hands are drawn at most every 20 ms, words and traces more slowly.
HAND_PERIOD_S: Final = 0.02
_HANDS_PER_TEXT: Final = 6
_ERROR_SPAN_FRAMES: Final = 100


class Viewer:
    """A live hand in the browser; one of the loop's receivers.

    `send` and `record` only put things down; drawing happens elsewhere, and a browser that is slow misses poses.

    Parameters
    ----------
    mesh : HandMesh
    controls : Controls
    settings : EngineSettings
        As the engine begins.
    desk : CalibrationDesk, optional
        Where somebody wears the band and can be asked for poses; another of the loop's receivers.
    warnings : tuple of str
        What people must know before trusting the poses.
    host, port
        As `start_server`.

    Raises
    ------
    ConfigError : as `start_server`.
    """

    def __init__(
        self,
        mesh: HandMesh,
        controls: "Controls",
        settings: "EngineSettings",
        *,
        desk: "CalibrationDesk | None" = None,
        warnings: tuple[str, ...] = (),
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
    ) -> None:
        self._mesh, self._controls, self._warnings = mesh, controls, warnings
        self._settings, self._desk = settings, desk
        check_host(host, port)
        self._host, self._port = host, port
        self.server: ViserServer | None = None
        self._lock = threading.Lock()
        self._wake, self._closing = threading.Event(), threading.Event()
        self._frame: PoseFrame | None = None
        self._errors_rad: deque[float] = deque(maxlen=_ERROR_SPAN_FRAMES)
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """What to open in a browser, once it is open."""
        port = self._port if self.server is None else self.server.get_port()
        return f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{port}"

    def open(self, hello: Hello, source: SourceFacts) -> None:
        """Start the server, set the scene and begin to draw.

        Raises
        ------
        MissingExtraError : viser is not installed.
        """
        self.set_up(hello, source)
        self._thread = threading.Thread(target=self._draw_on, name="emgpose viewer", daemon=True)
        self._thread.start()

    def set_up(self, hello: Hello, source: SourceFacts) -> None:
        """Start the server and set the scene, without beginning to draw."""
        self.server = start_server(self._host, self._port)
        self._hello, self._names = hello, source.channel_names
        self._traces = EmgTraces(source.n_channels, source.sample_rate_hz)
        self._scene = HandScene(self.server, self._mesh, "simulated" if hello.is_simulated else "recorded")
        self._panel = Panel(self.server, self._controls, self._settings, self._desk)
        self._panel.warnings.content = markup.warnings(self._warnings)
        self.draw_text()

    def send(self, frame: PoseFrame) -> None:
        """Put the newest pose down for the next drawing."""
        with self._lock:
            self._frame = frame
            if not frame.stale and frame.truth is not None:
                self._errors_rad.append(float(np.abs(frame.joint_angles - frame.truth).mean()))
        self._wake.set()

    def record(self, chunk: EmgChunk) -> None:
        """Take EMG for the traces, which stand still while paused."""
        if not self._controls.paused:
            with self._lock:
                self._traces.add(chunk.first_sample, chunk.emg)

    def close(self) -> None:
        """Stop drawing and let the browsers go."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self.server is not None:
            self.server.stop()
            self.server = None

    def draw_hands(self) -> None:
        """Draw the newest pose."""
        with self._lock:
            frame = self._frame
        if frame is None:
            return
        cue = None if self._desk is None else self._desk.cue
        beside = frame.truth if cue is None else cue.joint_angles
        self._scene.draw(frame.joint_angles, frame.reason, beside, asked=cue is not None)

    def draw_text(self) -> None:
        """Write state, timing and EMG."""
        with self._lock:
            frame, paths = self._frame, self._traces.paths()
            error_rad = float(np.mean(self._errors_rad)) if self._errors_rad else None
        timing = markup.timing(
            self._controls.compute.summary_ms(), self._controls.latency.summary_ms(), self._hello.delay_s
        )
        quality = {} if frame is None else self._quality_by_name(frame)
        self._panel.state.content = markup.state_line(frame, self._controls.paused)
        self._panel.facts.content = markup.facts(markup.about(self._hello) | timing | markup.error_row(error_rad))
        if self._desk is not None and self._panel.calibration is not None:
            self._panel.calibration.content = markup.sentence(self._desk.text)
        self._panel.emg.content = markup.emg_rows(self._names, paths, quality)

    def _quality_by_name(self, frame: PoseFrame) -> dict[str, float]:
        """Give the quality of each of the source's channels that the model uses."""
        columns = self._settings.channel_map or range(len(self._names))
        # A channel may go to several of the model's, which then judge it alike.
        used = zip(columns, frame.quality.tolist(), strict=True)
        return {self._names[column]: quality for column, quality in used if column is not None}

    def _draw_on(self) -> None:
        drawn, server = 0, self.server
        while not self._closing.is_set():
            self._wake.wait()
            self._wake.clear()
            # Without a browser there is nothing to draw for; a new one gets the next pose.
            if server is not None and server.get_clients():
                self.draw_hands()
                if drawn % _HANDS_PER_TEXT == 0:
                    self.draw_text()
                drawn += 1
            self._closing.wait(HAND_PERIOD_S)
