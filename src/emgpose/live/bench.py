"""How long a live hop takes: 20 ms of EMG through the model, paced as on a device and back to back.

Paced, each hop begins when its EMG would have come, after a pause in which other programs may take the caches. After
each pair of hops the floor is measured in the same way: one pass of numpy's matrix-vector products over the same
weights in the same place. Featurizers at 25 Hz do more in every second hop, so means are over pairs of hops.
The processor's own time is given beside: what is longer than that went to other programs.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from emgpose.errors import ConfigError
from emgpose.live.chunk import EmgChunk, SourceFacts
from emgpose.live.engine import Engine
from emgpose.models import EmgModel
from emgpose.timing import ROLLOUT_RATE_HZ

HOP_S: Final = 1 / ROLLOUT_RATE_HZ
DEFAULT_SECONDS: Final = 10.0
_MS: Final = 1000.0
Hop = Callable[[], object]
# Wall-clock and processor time [s].
Durations = tuple[float, float]


@dataclass(frozen=True)
class HopTimes:
    """Computing time of many hops [ms].

    Parameters
    ----------
    n_hops : int
    mean_ms : float
        Over whole pairs of hops.
    pair_p50_ms : float
        Median of the means of pairs: what a hop costs when nothing else disturbs the machine.
    p50_ms, p99_ms, p99_9_ms, max_ms : float
        Over single hops.
    real_time_factor : float
        Seconds of computing per second of EMG.
    """

    n_hops: int
    mean_ms: float
    pair_p50_ms: float
    p50_ms: float
    p99_ms: float
    p99_9_ms: float
    max_ms: float
    real_time_factor: float

    @classmethod
    def of(cls, durations_s: list[float]) -> "HopTimes":
        """Summarise the durations of consecutive hops [s]; one without a partner counts only if it is the only one."""
        times_ms = _MS * np.array(durations_s[: len(durations_s) // 2 * 2] or durations_s * 2)
        p50, p99, p99_9 = np.quantile(times_ms, (0.5, 0.99, 0.999)).tolist()
        mean = float(times_ms.mean())
        pair_p50 = float(np.median(times_ms.reshape(-1, 2).mean(axis=1)))
        return cls(len(times_ms), mean, pair_p50, p50, p99, p99_9, float(times_ms.max()), mean / _MS / HOP_S)


@dataclass(frozen=True)
class BenchReport:
    """What `run_bench` measured.

    Parameters
    ----------
    model, task : str
    n_parameters : int
    delay_ms : float
        Algorithmic delay of a pose behind the newest sample that it used.
    hop_ms : float
        What a pose waits at most for the rest of its hop, on top of that.
    warm_up_s : float
        From the first sample to the first pose.
    paced, back_to_back : HopTimes
        The model alone.
    paced_cpu : HopTimes
        The processor time of the hops of `paced`, without what other programs took meanwhile.
    engine : HopTimes
        The whole engine, paced: bookkeeping, smoothing, limits and landmarks besides.
    floor : HopTimes
        One pass over the weights, paced, between the hops of `paced`.
    peak_memory_mib : float or None
        Of the whole process; None where the system does not tell.
    torch_version : str
    """

    model: str
    task: str
    n_parameters: int
    delay_ms: float
    hop_ms: float
    warm_up_s: float
    paced: HopTimes
    paced_cpu: HopTimes
    back_to_back: HopTimes
    engine: HopTimes
    floor: HopTimes
    peak_memory_mib: float | None
    torch_version: str

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values, for JSON."""
        return asdict(self)

    def text(self) -> str:
        """Give it as a few lines to print."""
        memory = "unknown" if self.peak_memory_mib is None else f"{self.peak_memory_mib:.0f} MiB"
        rows = {
            "model, every 20 ms": self.paced,
            "  processor time": self.paced_cpu,
            "model, back to back": self.back_to_back,
            "engine, every 20 ms": self.engine,
            "floor, every 20 ms": self.floor,
        }
        lines = [
            f"{self.model} ({self.task}), {self.n_parameters:,} parameters; one thread of torch {self.torch_version}",
            f"algorithmic delay {self.delay_ms:g} ms, besides up to {self.hop_ms:g} ms until a hop is full",
            f"first pose after {self.warm_up_s:.2f} s of EMG; peak memory of the process {memory}",
            f"{'[ms per hop]':<22}{'mean':>8}{'pairs p50':>11}{'p50':>8}{'p99':>8}{'p99.9':>8}{'max':>8}  of real time",
        ]
        for name, times in rows.items():
            lines.append(
                f"{name:<22}{times.mean_ms:>8.2f}{times.pair_p50_ms:>11.2f}{times.p50_ms:>8.2f}{times.p99_ms:>8.2f}"
                f"{times.p99_9_ms:>8.2f}{times.max_ms:>8.2f}{times.real_time_factor:>14.3f}"
            )
        return "\n".join(lines)


def run_bench(
    model: EmgModel,
    *,
    seconds: float = DEFAULT_SECONDS,
    clock: Callable[[], float] = time.perf_counter,
    cpu_clock: Callable[[], float] = time.thread_time,
    sleep: Callable[[float], object] = time.sleep,
) -> BenchReport:
    """Measure a model on one thread; takes about three times `seconds`.

    Parameters
    ----------
    model : EmgModel
        Causal; it goes into eval mode.
    seconds : float
        Of EMG in each measurement.
    clock, cpu_clock, sleep : callable
        `time.perf_counter`, `time.thread_time` and `time.sleep`, or those of a test.

    Returns
    -------
    BenchReport

    Raises
    ------
    ConfigError : a model that cannot stream, or too short a time.
    """
    n_hops = round(seconds / HOP_S) if 2 * HOP_S <= seconds <= 3600 else 0
    if n_hops < 2:
        raise ConfigError(f"a bench needs two hops at least: 0.04 s to an hour of EMG, got {seconds:g} s")
    model.check_mode("stream")
    engine = Engine(model, _source_of(model))
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode(), threadpool_limits(1, user_api="blas"):
            n_warm = 2 * (model.frame_grid.left_context // model.stride + 2)
            hop, floor = _model_hop(model), _floor_of(model)
            for _ in range(n_warm):
                hop()
                floor()
            pace = _Pace(clock, cpu_clock, sleep)
            paced, floor_times = pace.run(hop, floor, n_hops)
            back_to_back = [pace.timed(hop) for _ in range(n_hops)]
            engine_hop = _engine_hop(engine, model)
            for _ in range(n_warm):
                engine_hop()
            of_engine, _ = pace.run(engine_hop, None, n_hops)
    finally:
        torch.set_num_threads(n_threads)
    return BenchReport(
        model=model.name,
        task=model.task,
        n_parameters=model.n_parameters,
        delay_ms=_MS * engine.hello.delay_s,
        hop_ms=_MS * model.stride / model.sample_rate_hz,
        warm_up_s=model.frame_grid.receptive_field / model.sample_rate_hz,
        paced=HopTimes.of([wall_s for wall_s, _ in paced]),
        paced_cpu=HopTimes.of([cpu_s for _, cpu_s in paced]),
        back_to_back=HopTimes.of([wall_s for wall_s, _ in back_to_back]),
        engine=HopTimes.of([wall_s for wall_s, _ in of_engine]),
        floor=HopTimes.of([wall_s for wall_s, _ in floor_times]),
        peak_memory_mib=_peak_memory_mib(),
        torch_version=torch.__version__,
    )


def _source_of(model: EmgModel) -> SourceFacts:
    """A source that suits the model without filters."""
    names = tuple(f"emg{number}" for number in range(model.n_channels))
    return SourceFacts("bench", float(model.sample_rate_hz), names, model.card.preprocessing, is_simulated=True)


def _emg_of(model: EmgModel) -> NDArray[np.float32]:
    """Noise for one hop (time, channel); what it holds makes no difference to the time."""
    n_samples = round(HOP_S * model.sample_rate_hz)
    return np.random.default_rng(0).standard_normal((n_samples, model.n_channels), dtype=np.float32)


def _model_hop(model: EmgModel) -> Hop:
    emg = _emg_of(model)
    hops = model.eval().hops(model.initial_state())
    return lambda: hops.push(emg)


def _engine_hop(engine: Engine, model: EmgModel) -> Hop:
    emg = _emg_of(model)
    n_taken = 0

    def hop() -> None:
        nonlocal n_taken
        n_taken += len(emg)
        engine.push(EmgChunk(n_taken - len(emg), emg, n_taken / model.sample_rate_hz))

    return hop


def _floor_of(model: EmgModel) -> Hop:
    """One matrix-vector product with every weight that is a matrix, as the weights lie after `prepare_for_hops`."""
    pairs = []
    for parameter in model.parameters():
        if parameter.ndim >= 2:
            weight = parameter.detach().float().cpu().numpy()
            matrix = weight.transpose(0, *range(weight.ndim - 1, 0, -1)).reshape(len(weight), -1)
            pairs.append((matrix, np.ones(matrix.shape[1], dtype=np.float32)))

    def floor() -> None:
        for matrix, vector in pairs:
            np.dot(matrix, vector)

    return floor


@dataclass(frozen=True)
class _Pace:
    """Times hops; the clocks as in `run_bench`."""

    clock: Callable[[], float]
    cpu_clock: Callable[[], float]
    sleep: Callable[[float], object]

    def timed(self, hop: Hop) -> Durations:
        """Run one hop, and give how long it took [s] and how much of it the processor worked on it [s]."""
        began_s, cpu_began_s = self.clock(), self.cpu_clock()
        hop()
        cpu_ended_s, ended_s = self.cpu_clock(), self.clock()
        return ended_s - began_s, cpu_ended_s - cpu_began_s

    def run(self, hop: Hop, floor: Hop | None, n_hops: int) -> tuple[list[Durations], list[Durations]]:
        """Run hops every 20 ms, and after each pair the floor in place of one; give the durations of both."""
        hops: list[Durations] = []
        floors: list[Durations] = []
        turns = [(hop, hops), (hop, hops)] + ([] if floor is None else [(floor, floors)])
        due_s = self.clock()
        for number in range(-(-n_hops // 2) * len(turns)):
            due_s += HOP_S
            wait_s = due_s - self.clock()
            if wait_s > 0:
                self.sleep(wait_s)
            else:
                # Late hops are not made up for: the next one is due a whole hop later.
                due_s -= wait_s
            turn, durations = turns[number % len(turns)]
            durations.append(self.timed(turn))
        return hops, floors


def _peak_memory_mib() -> float | None:
    """Give the largest resident memory of this process so far."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # In KiB on Linux, in bytes on macOS.
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
