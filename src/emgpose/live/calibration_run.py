"""Running a guided calibration: before a live hand starts, or beside one that runs."""

import copy
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emgpose.errors import EmgPoseError, SourceEnded, SourceLost, StreamError
from emgpose.live.chunk import EmgChunk, Source, SourceFacts
from emgpose.live.pose_frame import Hello, PoseFrame

if TYPE_CHECKING:
    from emgpose.live.calibration import Calibration
    from emgpose.live.engine_settings import EngineSettings
    from emgpose.live.guided_calibration import Cue, GuidedCalibration
    from emgpose.live.run import Controls
    from emgpose.models import EmgModel

READ_TIMEOUT_S: Final = 0.05
PATIENCE_S: Final = 10.0
_LOG = logging.getLogger("emgpose.live")


def calibrate_first(
    source: Source,
    guide: "GuidedCalibration",
    show: Callable[["Cue", float], object],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> "Calibration":
    """Collect what a calibration needs from a source that nobody else reads.

    Parameters
    ----------
    source : Source
    guide : GuidedCalibration
    show : callable
        Gets what is asked for now, and how many seconds of EMG all of it still takes.
    clock, sleep : callable
        `time.monotonic` and `time.sleep`, or those of a test.

    Raises
    ------
    StreamError : the source ended, or gave nothing for 10 s.
    DataError : nothing but silence was collected.
    """
    arrived_s = clock()
    while (cue := guide.cue) is not None:
        show(cue, guide.total_s - guide.elapsed_s)
        chunk = None
        try:
            chunk = source.read(READ_TIMEOUT_S)
        except SourceEnded:
            raise StreamError(
                f"source {source.facts.name}: ended after {guide.elapsed_s:.1f} s, a calibration takes "
                f"{guide.total_s:g} s"
            ) from None
        except SourceLost:
            sleep(READ_TIMEOUT_S)
        if chunk is not None:
            guide.push(chunk)
            arrived_s = clock()
        elif clock() - arrived_s > PATIENCE_S:
            raise StreamError(f"source {source.facts.name}: no EMG for {PATIENCE_S:g} s; calibrate again when it runs")
    return guide.result()


class CalibrationDesk:
    """Calibrates beside a running hand; one of the loop's receivers.

    Poses go on meanwhile. What was measured is computed in a thread, on a copy of the model, and then used.

    Parameters
    ----------
    model : EmgModel
    settings : EngineSettings
        As the engine begins.
    controls : Controls
    path : Path, optional
        Where to write the calibration.
    earlier : Calibration, optional
        Of the same person; the band's place is found by it.
    """

    def __init__(
        self,
        model: "EmgModel",
        settings: "EngineSettings",
        controls: "Controls",
        path: Path | None = None,
        *,
        earlier: "Calibration | None" = None,
    ) -> None:
        self._model, self._settings, self._controls, self._path = model, settings, controls, path
        self._earlier = earlier
        self._lock = threading.Lock()
        self._guide: GuidedCalibration | None = None
        self._computing: threading.Thread | None = None
        self._is_wanted = False
        self._source: SourceFacts | None = None
        self._said = ""

    def begin(self) -> None:
        """Ask for everything from the beginning; may be called from any thread."""
        from emgpose.live.guided_calibration import GuidedCalibration

        if self._source is None or self._computing is not None:
            return
        guide = GuidedCalibration(copy.deepcopy(self._model), self._source, self._settings, earlier=self._earlier)
        with self._lock:
            self._guide, self._said, self._is_wanted = guide, "", True

    def cancel(self) -> None:
        """Leave everything as it was, also while it is being computed; may be called from any thread."""
        with self._lock:
            self._guide, self._said, self._is_wanted = None, "", False

    @property
    def cue(self) -> "Cue | None":
        """What is asked for now; None while nothing is."""
        with self._lock:
            return None if self._guide is None else self._guide.cue

    @property
    def text(self) -> str:
        """What to tell people: the cue, that it is computed, how it went; empty before the first calibration."""
        with self._lock:
            if self._guide is None or (cue := self._guide.cue) is None:
                return self._said
            return f"{cue.text} ({self._guide.total_s - self._guide.elapsed_s:.0f} s to go)"

    def open(self, hello: Hello, source: SourceFacts) -> None:
        """Learn what will come."""
        self._source = source

    def send(self, frame: PoseFrame) -> None:
        """Poses are others' affair."""

    def record(self, chunk: EmgChunk) -> None:
        """Collect EMG while a calibration runs."""
        with self._lock:
            guide = self._guide
            if guide is None or guide.push(chunk) is not None:
                return
            self._guide, self._said = None, "Computing the calibration."
        self._computing = threading.Thread(target=self._compute, args=(guide,), name="emgpose calibration", daemon=True)
        self._computing.start()

    def close(self) -> None:
        """Leave what is being asked for; wait for what is being computed, and write it."""
        computing = self._computing
        if computing is None:
            self.cancel()
        if computing is not None:
            computing.join()

    def _compute(self, guide: "GuidedCalibration") -> None:
        try:
            calibration = guide.result()
            with self._lock:
                if not self._is_wanted:
                    return
                if self._path is not None:
                    calibration.write(self._path)
                self._controls.ask(lambda engine: engine.set_calibration(calibration))
                self._said = describe(calibration)
        except EmgPoseError as error:
            if self._is_wanted:
                _LOG.error("the calibration failed: %s", error)
                self._said = f"The calibration failed: {error}"
        finally:
            self._computing = None


def describe(calibration: "Calibration") -> str:
    """Say what a calibration found, and what is doubtful about it."""
    turned = f"the band is turned by {calibration.roll} electrodes" if calibration.roll else "the band sits as usual"
    return "; ".join([f"Calibrated: {turned}", *calibration.warnings])
