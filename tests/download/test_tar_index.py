"""The index of a remote archive: complete, resumable, bound to one version, the same over any number of connections."""

import json
import random
import re

import pytest

from emgpose.download.bookkeeping import locked_file
from emgpose.download.remote_file import probe
from emgpose.download.tar_index import TarIndex
from emgpose.errors import DataError
from made_archives import made_tar
from made_server import Fault

FILES = {f"set/{number:03d}.hdf5": random.Random(number).randbytes(400 + 611 * (number % 7)) for number in range(40)}
CONTENT = made_tar(FILES)


@pytest.fixture
def indexed(server, transport, link, tmp_path):
    """Index `set.tar`; gives names and contents by the index."""
    server.add("set.tar", CONTENT)

    def index(connections: int = 1, content: bytes = CONTENT, link=link) -> dict[str, bytes]:
        url = f"{server.url}set.tar"
        made = TarIndex(tmp_path / "index.jsonl", url, probe(url, transport, link))
        members = made.complete(link, connections, lambda n: None, segment_bytes=4096)
        return {m.name: content[m.data_offset : m.data_offset + m.size_bytes] for m in members}

    return index


@pytest.mark.parametrize("connections", [1, 2, 5])
def test_the_index_is_the_archive_over_any_number_of_connections(indexed, connections):
    assert indexed(connections) == FILES


def test_one_connection_asks_once_a_member(server, indexed):
    indexed()
    # The probe, one request a member, and one for the end mark.
    assert len(server.ranges_of("set.tar")) <= 1 + len(FILES) + 1


def test_a_second_time_nothing_is_asked_but_the_version(server, indexed):
    indexed(3)
    server.requests.clear()
    assert indexed(3) == FILES
    assert server.ranges_of("set.tar") == ["bytes=0-0"]


@pytest.mark.parametrize("connections", [1, 3])
def test_an_index_cut_off_anywhere_goes_on(server, indexed, tmp_path, connections):
    indexed(connections)
    path = tmp_path / "index.jsonl"
    whole = path.read_bytes()
    server.requests.clear()
    for share in (0.0, 0.3, 0.55, 0.99):
        path.write_bytes(whole[: int(share * len(whole))])
        assert indexed(connections) == FILES
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len({line.get("header_offset") for line in lines if "name" in line}) == len(FILES) + 1


def test_cuts_and_stalls_change_nothing(server, indexed):
    server.faults = [None, Fault(cut_after=3), Fault(status=503), None, Fault(stall_after=100), Fault(shift=512)]
    assert indexed() == FILES


def test_an_index_of_another_version_is_made_again(server, indexed, tmp_path):
    indexed()
    newer = made_tar({"set/new.hdf5": b"new"})
    server.add("set.tar", newer, '"two"')
    assert indexed(content=newer) == {"set/new.hdf5": b"new"}
    assert "000.hdf5" not in (tmp_path / "index.jsonl").read_text()


@pytest.mark.parametrize("connections", [1, 4])
def test_a_change_while_the_index_is_made_is_refused(server, indexed, connections):
    server.on_request = lambda path: server.add(path, CONTENT, '"two"') if len(server.requests) == 9 else None
    with pytest.raises(DataError, match="the file has changed"):
        indexed(connections)


def test_a_server_that_ignores_ranges_is_refused_at_once(server, indexed):
    server.always["set.tar"] = Fault(ignores_range=True)
    with pytest.raises(DataError, match="sends the whole file"):
        indexed()
    assert len(server.requests) == 1


def test_a_server_that_names_no_version_is_refused(server, indexed):
    server.always["set.tar"] = Fault(headers={"ETag": None})
    with pytest.raises(DataError, match="neither an ETag nor a date"):
        indexed()


@pytest.mark.parametrize("connections", [1, 4])
def test_a_damaged_archive_is_named_with_the_byte(server, indexed, connections):
    broken = bytearray(CONTENT)
    place = CONTENT.index(b"set/020.hdf5")
    broken[place] ^= 1
    server.add("set.tar", bytes(broken))
    with pytest.raises(DataError, match=f"byte {place}: expected a tar header"):
        indexed(connections)


def test_headers_inside_a_recording_do_not_mislead(server, indexed):
    inner = made_tar({f"inner/{number}.hdf5": b"x" * 700 for number in range(12)})
    files = {"set/a.hdf5": b"a" * 600, "set/archive.hdf5": inner, "set/b.hdf5": b"b" * 600}
    content = made_tar(files)
    server.add("set.tar", content)
    assert indexed(4, content) == files


@pytest.mark.parametrize("mine", ['{"mine": 1}\n', "my notes, no line break", "one\ntwo", "{", "\n"])
def test_a_file_that_is_no_index_is_not_touched(indexed, tmp_path, mine):
    (tmp_path / "index.jsonl").write_text(mine)
    with pytest.raises(DataError, match="expected an index that emgpose made"):
        indexed()
    assert (tmp_path / "index.jsonl").read_text() == mine


def test_a_complete_index_is_read_where_nothing_can_be_written(indexed, tmp_path, monkeypatch):
    indexed()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}

    def refuse(*arguments):
        raise AssertionError("nothing is to be written")

    for name in ("locked_file", "append_lines", "drop_cut_line", "replace_text"):
        monkeypatch.setattr(f"emgpose.download.tar_index.{name}", refuse)
    assert indexed() == FILES
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_an_index_stays_held_while_it_is_written(server, indexed, tmp_path, monkeypatch):
    monkeypatch.setattr("emgpose.download.tar_index._LINES_PER_WRITE", 4)
    refused = []

    def try_to_hold(path):
        if (tmp_path / "index.jsonl").exists() and (tmp_path / "index.jsonl").read_text().count("\n") > 9:
            with pytest.raises(DataError, match="why"), locked_file(tmp_path / "index.jsonl.lock", "why"):
                pass
            refused.append(path)

    server.on_request = try_to_hold
    assert indexed() == FILES
    assert refused


def test_an_index_that_another_download_has_made_meanwhile_is_taken(server, transport, link, indexed, tmp_path):
    url = server.add("set.tar", CONTENT)
    early = TarIndex(tmp_path / "index.jsonl", url, probe(url, transport, link))
    indexed()
    server.requests.clear()
    whole = (tmp_path / "index.jsonl").read_bytes()
    assert [member.name for member in early.complete(link, 1, lambda n: None)] == list(FILES)
    assert server.requests == []
    assert (tmp_path / "index.jsonl").read_bytes() == whole


@pytest.mark.parametrize("value", ['"512"', "-512", "5.5", "true", "null"])
def test_a_place_in_the_index_that_is_no_number_is_an_error(indexed, tmp_path, value):
    indexed()
    path = tmp_path / "index.jsonl"
    lines = path.read_text().splitlines()
    lines[2] = re.sub(r'"size_bytes": [0-9]+', f'"size_bytes": {value}', lines[2])
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match="a line is damaged"):
        indexed()


def test_a_damaged_line_is_an_error_and_not_a_wrong_place(indexed, tmp_path):
    indexed()
    path = tmp_path / "index.jsonl"
    lines = path.read_text().splitlines()
    lines[5] = lines[5][:20]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match="line 6 is damaged"):
        indexed()
