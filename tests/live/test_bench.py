"""The bench on a clock of its own: what it counts, and what it refuses. Nothing depends on how long things take."""

import json

import numpy as np
import pytest
import torch

from emgpose.errors import ConfigError
from emgpose.live import bench
from emgpose.live.bench import HOP_S, HopTimes, run_bench
from emgpose.models import build_model
from small_models import small_model


class MadeClock:
    """Every look at it takes 1 ms; sleeping takes exactly as long as asked for."""

    def __init__(self) -> None:
        self.now_s, self.slept_s = 0.0, []

    def __call__(self) -> float:
        self.now_s += 0.001
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds


@pytest.fixture(scope="module")
def model():
    return small_model("emgpose50")


def bench_of(model, seconds: float = 0.2, **changes):
    clock = MadeClock()
    clocks = {"clock": clock, "cpu_clock": lambda: clock.now_s / 4, "sleep": clock.sleep}
    return run_bench(model, seconds=seconds, **(clocks | changes)), clock


def test_every_measurement_has_its_hops_and_the_made_time_of_each(model) -> None:
    report, clock = bench_of(model)
    for times in (report.paced, report.back_to_back, report.engine):
        assert times.n_hops == 10
        assert times.mean_ms == pytest.approx(1.0)
        assert times.max_ms == pytest.approx(1.0)
        assert times.real_time_factor == pytest.approx(0.05)
    assert report.paced_cpu.n_hops == 10
    assert report.paced_cpu.mean_ms == pytest.approx(0.0)  # between its two looks the made clock stands still
    assert report.floor.n_hops == 4  # one after each pair of hops, whole pairs of them
    # 10 hops and 5 floors paced by 20 ms, then 10 hops of the engine.
    assert len(clock.slept_s) == 25
    assert clock.slept_s[1:15] == pytest.approx([HOP_S - 0.003] * 14)


def test_means_are_over_pairs_because_every_second_hop_does_more() -> None:
    times = HopTimes.of([0.004, 0.002, 0.006, 0.004, 0.1])
    assert times.n_hops == 4  # the hop without a partner does not count
    assert times.mean_ms == pytest.approx(4.0)
    assert times.pair_p50_ms == pytest.approx(4.0)
    assert times.max_ms == pytest.approx(6.0)
    assert times.real_time_factor == pytest.approx(0.2)


def test_late_hops_are_not_made_up_for(model) -> None:
    clock = MadeClock()

    def slow() -> None:
        clock.now_s += 0.05

    hops, _ = bench._Pace(clock, lambda: clock.now_s / 4, clock.sleep).run(slow, None, 4)
    assert [wall_s for wall_s, _ in hops] == pytest.approx([0.051] * 4)
    assert [cpu_s for _, cpu_s in hops] == pytest.approx([0.0125] * 4)
    assert len(clock.slept_s) == 1  # the others were due already


def test_the_report_says_what_the_model_is_and_goes_into_json(model) -> None:
    report, _ = bench_of(model)
    values = json.loads(json.dumps(report.to_dict()))
    assert values["model"] == "emgpose50"
    assert values["task"] == model.task
    assert values["n_parameters"] == model.n_parameters
    assert values["warm_up_s"] == model.receptive_field / 2000
    assert values["delay_ms"] == 0
    assert values["paced"]["p99_9_ms"] == pytest.approx(1.0)
    assert "floor, every 20 ms" in report.text()
    assert "of real time" in report.text()


def test_a_model_that_waits_for_the_next_frame_shows_its_delay() -> None:
    report, _ = bench_of(small_model("tracking_vemg2pose", between="linear"), seconds=0.04)
    assert report.delay_ms == pytest.approx(20.0)


def test_the_number_of_threads_is_one_inside_and_as_before_after(model) -> None:
    inside: list[int] = []
    clock = MadeClock()

    def watched() -> float:
        inside.append(torch.get_num_threads())
        return clock()

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        bench_of(model, seconds=0.04, clock=watched, sleep=clock.sleep)
        assert set(inside) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_floor_multiplies_every_matrix_once() -> None:
    model = small_model("tracking_vemg2pose")
    model.prepare_for_hops()
    seen: list[int] = []
    floor = bench._floor_of(model)
    original = np.dot
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np, "dot", lambda matrix, vector: seen.append(matrix.size) or original(matrix, vector))
        floor()
    assert sum(seen) == sum(p.numel() for p in model.parameters() if p.ndim >= 2)


@pytest.mark.parametrize("seconds", [0.0, 0.02, -1.0, float("nan"), 1e6])
def test_times_that_measure_nothing_are_refused(model, seconds: float) -> None:
    with pytest.raises(ConfigError, match="two hops at least"):
        run_bench(model, seconds=seconds)


def test_a_model_that_cannot_stream_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot run in mode 'stream'"):
        run_bench(build_model("regression_neuropose"), seconds=0.1)
