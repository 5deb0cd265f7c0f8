"""Downloads killed again and again end as undisturbed ones do."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from emgpose.download import Choice, download
from made_archives import add_full, made_rows, made_tar, tree

N_KILLS = 20
ARCHIVE = "emg2pose_model_checkpoints.tar.gz"
CHECKPOINTS = {f"weights/{number}.ckpt": random.Random(number).randbytes(9000) for number in range(40)}


@pytest.fixture
def killable(server, tmp_path):
    """Run a download in a process; a number of bytes after which it is killed, or None. Gives its exit status."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("killable.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def run(what: str, choice: dict, kill_after: int | None, delay_s: float = 0.0) -> int:
        server.released.clear()
        server.is_holding.clear()
        server.bytes_until_hold = kill_after
        order = {"what": what, "out": str(tmp_path / "out"), "url": server.url, "choice": choice, "sync_bytes": 2000}
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        child = int(process.stdout.readline())
        ended = threading.Event()
        killer = threading.Thread(target=kill, args=(child, ended, delay_s if kill_after is not None else None))
        killer.start()
        status = int(process.stdout.readline())
        ended.set()
        server.is_holding.set()
        killer.join()
        server.released.set()
        return status

    def kill(child: int, ended: threading.Event, delay_s: float | None) -> None:
        if delay_s is None:
            return
        server.is_holding.wait(20)
        server.bytes_until_hold = None
        if delay_s:
            # Lets the download go on a moment, so that kills fall between requests too.
            server.released.set()
            ended.wait(delay_s)
        if not ended.is_set():
            os.kill(child, signal.SIGKILL)

    yield run
    process.stdin.close()
    assert process.wait(10) == 0
    process.stdout.close()


def killed_often(killable, draw: random.Random, what: str, choice: dict, most_bytes: int) -> None:
    """Kill one download 20 times, each time after a random number of further bytes; then let it end."""
    for _ in range(N_KILLS):
        assert killable(what, choice, draw.randrange(1, most_bytes)) == -signal.SIGKILL
    assert killable(what, choice, None) == 0


def receipts(folder: Path) -> list[dict]:
    lines = (folder / ".emgpose-download" / "receipts.jsonl").read_text().splitlines()
    return sorted(({**json.loads(line)} for line in lines), key=lambda entry: (entry["path"], str(entry["unpacked"])))


def test_an_archive_killed_20_times_is_unpacked_as_if_nothing_had_happened(server, killable, tmp_path):
    server.add(ARCHIVE, made_tar(CHECKPOINTS, "w:gz"))
    killed_often(killable, random.Random(1), "checkpoints", {}, 9000)
    # What was fetched before a kill was not fetched again, but for what was not yet synced.
    assert server.sent_bytes < 2 * len(server.files[ARCHIVE])
    download("checkpoints", tmp_path / "undisturbed", base_url=server.url)
    assert tree(tmp_path / "out") == tree(tmp_path / "undisturbed") == CHECKPOINTS
    assert receipts(tmp_path / "out") == receipts(tmp_path / "undisturbed")


@pytest.mark.parametrize("seed", [2, pytest.param(3, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow)])
def test_recordings_killed_20_times_are_those_of_an_undisturbed_download(server, killable, tmp_path, seed):
    add_full(server, made_rows(6))
    killed_often(killable, random.Random(seed), "full", {"where": "stage != 'Wave'"}, 6000)
    download("full", tmp_path / "undisturbed", base_url=server.url, choice=Choice(where="stage != 'Wave'"))
    assert tree(tmp_path / "out") == tree(tmp_path / "undisturbed")


@pytest.mark.parametrize("seed", [5, pytest.param(6, marks=pytest.mark.slow), pytest.param(7, marks=pytest.mark.slow)])
@pytest.mark.parametrize("what", ["full", pytest.param("checkpoints", marks=pytest.mark.slow)])
def test_a_kill_among_the_last_steps_loses_nothing(server, killable, tmp_path, what, seed):
    if what == "full":
        add_full(server, made_rows(2))
    server.add(ARCHIVE, made_tar(CHECKPOINTS, "w:gz"))
    choice = {"everything": True} if what == "full" else {}
    before = server.sent_bytes
    download(what, tmp_path / "undisturbed", base_url=server.url, choice=Choice(**choice))
    needed = server.sent_bytes - before
    draw = random.Random(seed)
    for _ in range(3):
        status = killable(what, choice, draw.randrange(needed // 2, needed + 1), draw.uniform(0.001, 0.04))
        assert status in (0, -signal.SIGKILL)
        assert killable(what, choice, None) == 0
        assert tree(tmp_path / "out") == tree(tmp_path / "undisturbed")
        shutil.rmtree(tmp_path / "out")
