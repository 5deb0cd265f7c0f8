"""`emgpose download` end to end against a local server: words, exit codes, licence, and what the next command reads."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emgpose.cli.download import What
from emgpose.download import SOURCES
from generated import generate_dataset
from made_archives import ARCHIVE, TABLE, add_full, made_rows, made_table, made_tar
from made_server import Fault, MadeServer


@pytest.fixture
def server() -> Iterator[MadeServer]:
    made = MadeServer()
    yield made
    made.close()


@pytest.fixture
def get(run, server, tmp_path):
    """Run `emgpose download WHAT --out OUT` against the local server, the licence accepted."""

    def command(*arguments: object) -> tuple[int, str, str]:
        code, out, err = run(
            "download", *arguments, "--out", tmp_path / "out", "--base-url", server.url, "--accept-licence"
        )
        return code, out, " ".join(err.split())

    return command


def test_every_source_can_be_named():
    assert [what.value for what in What] == list(SOURCES)


def test_recordings_of_a_query_are_fetched_and_checked_and_fetched_no_second_time(server, get, run, tmp_path):
    root = tmp_path / "published"
    rows = generate_dataset(root, n_train_users=1, n_test_users=1, n_stages=2, seconds=7.0)
    names = [f"{row['filename']}.hdf5" for row in rows]
    files = {f"emg2pose_dataset/{name}": (root / name).read_bytes() for name in names}
    server.add(TABLE, (root / "metadata.csv").read_bytes())
    server.add(ARCHIVE, made_tar(files))
    code, out, err = get("full", "--where", "split=='test' and generalization=='user'")
    assert code == 0
    assert "3 fetched" in out
    assert f"next: emgpose check {tmp_path / 'out'}" in out
    assert "CC BY-NC-SA 4.0" in err
    assert "about 12 requests" in err
    code, out, _ = run("check", tmp_path / "out")
    assert (code, "2 recordings" in out) == (0, True), out
    code, out, err = get("full", "--where", "split=='test' and generalization=='user'", "--json")
    assert json.loads(out) == {
        "what": "full",
        "out": str(tmp_path / "out"),
        "data": str(tmp_path / "out"),
        "fetched": 0,
        "there_already": 3,
        "fetched_bytes": 0,
        "missing": [],
    }
    assert "CC BY-NC-SA" not in err


def test_recordings_that_the_archive_lacks_are_a_finding(server, get):
    add_full(server, made_rows(1)[:7])
    server.add(TABLE, made_table(made_rows(1)))
    code, _, err = get("full", "--all")
    assert code == 1
    assert "1 recordings of the table are not in the archive: 2022-12-06-u0-Point-recording-1_right" in err


def test_the_licence_must_be_accepted_before_anything_is_written(run, server, tmp_path):
    server.add(TABLE, made_table(made_rows(1)))
    code, _, err = run("download", "metadata", "--out", tmp_path / "out", "--base-url", server.url)
    assert code == 2
    assert "add --accept-licence" in err
    assert "Salter et al." in err
    assert list(tmp_path.iterdir()) == []
    assert server.requests == []


def test_the_licence_is_recorded_and_asked_for_once(run, server, get, tmp_path):
    server.add(TABLE, made_table(made_rows(1)))
    get("metadata")
    text = (tmp_path / "out" / "LICENCE-CC-BY-NC-SA-4.0.txt").read_text()
    assert "creativecommons.org/licenses/by-nc-sa/4.0/" in text
    assert f"before the download from {server.url}" in text
    code, _, err = run("download", "metadata", "--out", tmp_path / "out", "--base-url", server.url)
    assert (code, err) == (0, "")
    # Other parts under the same licence are not asked about again.
    code, _, err = run("download", "mini", "--out", tmp_path / "out", "--base-url", server.url)
    assert (code, "mini.tar: the server answers 404" in err, "CC BY" in err) == (1, True, False)
    # Another licence in the same folder is another question.
    assert run("download", "hand-model", "--out", tmp_path / "out", "--base-url", server.url)[0] == 2


def test_the_address_may_come_from_the_environment(run, server, tmp_path, monkeypatch):
    server.add(TABLE, made_table(made_rows(1)))
    monkeypatch.setenv("EMGPOSE_DOWNLOAD_URL", server.url)
    assert run("download", "metadata", "--out", tmp_path / "out", "--accept-licence")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("full",), 2, "431 GiB; say which ones with --where"),
        (("full", "--all", "--users", 3), 2, "leave one of the two out"),
        (("full", "--users", 0), 2, "--users 0: expected at least 1"),
        (("full", "--users", 99), 1, "there are only 1 left"),
        (("full", "--where", "split = 'test'"), 1, "cannot be understood"),
        (("full", "--where", "user == 'nobody'"), 1, "no recording has"),
        (("full", "--all", "--connections", 99), 2, "expected 1 to 32"),
        (("mini", "--users", 3), 2, "comes whole"),
        (("mini", "--index", "x"), 2, "only the archive of full is indexed"),
        (("bids",), 2, "about 340 GB"),
        (("bids", "--users", 1), 1, "datalad clone"),
        (("checkpoints",), 1, "answers 404: there is no such file"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_message(server, get, arguments, code, message):
    add_full(server, made_rows(1))
    found, _, err = get(*arguments)
    assert (found, message in err) == (code, True), err


def test_numbers_below_one_are_refused_before_anything_is_asked(server, get, tmp_path):
    assert get("full", "--stages", 0)[0] == 2
    assert get("bids", "--users", -1)[0] == 2
    assert (server.requests, list(tmp_path.iterdir())) == ([], [])


def test_a_log_gets_a_line_of_progress_now_and_then(server, get, monkeypatch):
    monkeypatch.setattr(sys.modules["emgpose.cli.download"], "_LINE_EVERY_S", 0.0)
    add_full(server)
    _, _, err = get("full", "--users", 1)
    assert "index: 100 % of 0.00 GiB" in err
    assert re.search(r"fetching: 100 % of 0\.00 GiB, [0-9.]+ MiB/s, 0:00:00 left", err)


def test_an_address_with_a_query_is_refused_and_not_shown(run, tmp_path):
    url = "https://host/data?token=secret"
    code, _, err = run("download", "mini", "--out", tmp_path / "out", "--base-url", url, "--accept-licence")
    assert (code, "without ? or #" in err, "secret" in err) == (2, True, False)


def test_an_address_that_is_none_is_refused(run, tmp_path):
    code, _, err = run("download", "mini", "--out", tmp_path / "out", "--base-url", "host/data", "--accept-licence")
    assert code == 2
    assert "expected an address such as https://host/folder/" in err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_one_is_one_message(run, server, get, tmp_path):
    (tmp_path / "out").write_text("mine")
    code, _, err = get("metadata")
    assert (code, "cannot be written: File exists; choose another --out" in err) == (1, True)
    (tmp_path / "out").unlink()
    (tmp_path / "out" / "LICENCE-CC-BY-NC-SA-4.0.txt").mkdir(parents=True)
    assert "Is a directory; choose another --out" in get("metadata")[2]
    assert (tmp_path / "out" / "LICENCE-CC-BY-NC-SA-4.0.txt").is_dir()
    assert server.requests == []


def test_a_file_of_the_user_in_the_way_is_named_before_the_server_is_asked(server, get, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f"{TABLE}.part").write_text("mine")
    code, _, err = get("metadata")
    assert (code, f"{TABLE}.part: is there already" in err, server.requests) == (1, True, [])


def test_a_wrong_file_is_one_message(server, get):
    server.add(TABLE, b"<html>please log in</html>")
    code, _, err = get("metadata")
    assert code == 1
    assert "what came begins with '<html>please log in</html>'" in err


def test_ctrl_c_keeps_what_has_come_and_says_how_to_go_on(server, get, tmp_path):
    server.add(TABLE, made_table(made_rows(9)))
    server.always[TABLE] = Fault(stall_after=1500)
    command = [sys.executable, "-c", "from emgpose.cli import main; main()", "download", "metadata", "--accept-licence"]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path / "out"), "--base-url", server.url], stderr=subprocess.PIPE, text=True
    )
    part = tmp_path / "out" / f"{TABLE}.part"
    while not (part.exists() and part.stat().st_size == 1500) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(2)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "run the same command again to go on" in err
    assert "Traceback" not in err
    server.always.clear()
    server.requests.clear()
    assert get("metadata")[0] == 0
    assert Path(tmp_path / "out" / TABLE).read_bytes() == made_table(made_rows(9))
    assert server.ranges_of(TABLE) == ["bytes=1500-"]
