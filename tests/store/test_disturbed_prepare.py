"""Real kills and a real cluster; the same without processes is in test_prepare_store.py."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from emgpose.errors import ConfigError
from emgpose.recording.store.check import check_store
from emgpose.store import plan, prepare_store
from generated import generate_dataset
from made_stores import contents

SCRIPT = """
import sys
from emgpose.store import plan, prepare_store
plan.SESSIONS_PER_SHARD = 1
if __name__ == "__main__":
    print("begins", flush=True)
    prepare_store(sys.argv[1], sys.argv[2], workers=int(sys.argv[3]))
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    generate_dataset(folder, seconds=5.0)
    return folder


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(plan, "SESSIONS_PER_SHARD", 1)


def start(root, out, workers):
    command = [sys.executable, "-c", SCRIPT, str(root), str(out), str(workers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    process.stdout.readline()
    return process


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_killed_twenty_times_ends_in_the_same_store(root, tmp_path, small_shards, workers):
    began = time.monotonic()
    prepare_store(root, tmp_path / "undisturbed")
    whole_s = time.monotonic() - began
    expected = contents(tmp_path / "undisturbed")
    draw, n_kills, n_stores = random.Random(workers), 0, 0
    while n_kills < 20:
        out = tmp_path / f"store{n_stores}"
        with start(root, out, workers) as process:
            try:
                # Later than that only where the rest takes less: then the store is complete and the next begins.
                process.wait(draw.uniform(0, 0.6 * whole_s if workers == 1 else 1.2 * whole_s))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                n_kills += 1
        if process.returncode == 0:
            assert contents(out) == expected
            shutil.rmtree(out)
            n_stores += 1
    prepare_store(root, out, verify=True)
    assert contents(out) == expected
    assert not check_store(out).findings


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_loses_a_worker_half_way_gives_the_same_store(root, tmp_path, small_shards):
    distributed = pytest.importorskip("distributed")
    prepare_store(root, tmp_path / "undisturbed")
    killed = []
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, worker_dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        process_ids = list(client.run(os.getpid).values())

        def kill_one(doing, done, total):
            if doing == "preparing" and done >= total // 2 and not killed:
                killed.append(process_ids[0])
                os.kill(process_ids[0], signal.SIGKILL)

        report = prepare_store(root, tmp_path / "store", dask=cluster.scheduler_address, on_progress=kill_one)
    assert killed
    assert report.n_written == report.n_sessions == 30
    assert contents(tmp_path / "store") == contents(tmp_path / "undisturbed")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_is_not_there_is_named(root, tmp_path):
    pytest.importorskip("distributed")
    with pytest.raises(ConfigError, match="--dask nonsense: no scheduler answers there"):
        prepare_store(root, tmp_path / "store", dask="nonsense")
