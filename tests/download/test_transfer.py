"""One file from a server that cuts, stalls, lies, changes its mind and is busy."""

import hashlib
import random
import shutil
from dataclasses import replace

import pytest

from emgpose.download import wanted as wanted_module
from emgpose.download.checksums import Checksum
from emgpose.download.link import Link, Stopped
from emgpose.download.partial_file import PartialFile
from emgpose.download.remote_version import RemoteVersion
from emgpose.download.transfer import fetch
from emgpose.download.wanted import Listener, Wanted
from emgpose.errors import DataError
from made_server import Fault

CONTENT = random.Random(0).randbytes(20_000)
MD5 = hashlib.md5(CONTENT).hexdigest()
S3 = {"Server": "AmazonS3"}


@pytest.fixture
def get(server, transport, link, listener, tmp_path):
    """Fetch `data.bin` and give what lies on the disk."""

    def fetched(**options) -> bytes:
        target = tmp_path / "data.bin"
        part, receipt = fetch(Wanted(f"{server.url}data.bin", target, **options), transport, link, listener)
        part.clean_up()
        assert receipt.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
        assert [path.name for path in tmp_path.iterdir()] == ["data.bin"]
        return target.read_bytes()

    return fetched


def test_a_file_comes_whole_and_leaves_nothing_beside_it(server, get):
    server.add("data.bin", CONTENT)
    assert get() == CONTENT
    assert server.ranges_of("data.bin") == ["bytes=0-"]


def test_an_empty_file_is_a_file(server, get):
    server.add("data.bin", b"")
    assert get() == b""


def test_a_cut_connection_is_opened_again_at_the_very_byte(server, get, waits):
    server.add("data.bin", CONTENT)
    server.faults = [Fault(cut_after=7001), Fault(cut_after=1024), Fault(cut_after=1), Fault(cut_after=0)]
    assert get() == CONTENT
    assert server.ranges_of("data.bin") == [f"bytes={first}-" for first in (0, 7001, 8025, 8026, 8026)]
    # Half of each doubled wait, since the jitter is zero here; 1 KiB of progress begins the row anew.
    assert waits == [0.5, 0.5, 1.0, 2.0]


@pytest.mark.parametrize("seed", range(3))
def test_many_cuts_at_random_bytes_change_nothing(server, get, seed):
    server.add("data.bin", CONTENT)
    draw = random.Random(seed)
    server.faults = [Fault(cut_after=draw.randrange(1, 2500)) for _ in range(12)]
    assert get() == CONTENT


def test_a_stalled_connection_is_given_up_and_opened_again(server, get):
    server.add("data.bin", CONTENT)
    server.faults = [Fault(stall_after=5000)]
    assert get() == CONTENT
    assert server.ranges_of("data.bin") == ["bytes=0-", "bytes=5000-"]


def test_a_connection_that_trickles_is_given_up_and_opened_again(server, get):
    server.add("data.bin", CONTENT)
    server.faults = [Fault(trickle_after=3000)]
    assert get() == CONTENT
    assert len(server.requests) == 2


def test_a_server_that_only_trickles_ends_in_an_error(server, transport, link, listener, tmp_path):
    server.add("data.bin", CONTENT)
    server.always["data.bin"] = Fault(trickle_after=0)
    told: list[str] = []
    wanted = Wanted(f"{server.url}data.bin", tmp_path / "data.bin")
    with pytest.raises(DataError, match=r"only [0-9]+ bytes came .* 2 attempts without progress"):
        fetch(wanted, transport, replace(link, attempts=2, on_wait=told.append), listener)
    assert not (tmp_path / "data.bin").exists()


def test_waits_are_told_from_the_second_failure_on(server, transport, link, listener, tmp_path):
    server.add("data.bin", CONTENT)
    server.faults = [Fault(status=503), Fault(status=503)]
    told: list[str] = []
    wanted = Wanted(f"{server.url}data.bin", tmp_path / "data.bin")
    fetch(wanted, transport, replace(link, on_wait=told.append), listener)
    assert told == [f"{server.url}data.bin: the server answers 503; trying again in 1 s"]


def test_a_server_that_ignores_ranges_begins_again_and_mixes_nothing(server, get, notices):
    server.add("data.bin", CONTENT)
    server.faults = [Fault(ignores_range=True, cut_after=9000), Fault(ignores_range=True)]
    assert get() == CONTENT
    assert "cannot go on in the middle" in notices[0]


def test_a_span_that_begins_elsewhere_is_not_taken(server, get):
    server.add("data.bin", CONTENT)
    server.faults = [Fault(cut_after=3000), Fault(shift=100), Fault(shift=1)]
    assert get() == CONTENT


def test_a_length_longer_than_what_comes_is_asked_for_again(server, get):
    server.add("data.bin", CONTENT)
    server.faults = [Fault(cut_after=15_000, length=30_000)]
    assert get() == CONTENT


def test_a_length_that_contradicts_the_range_is_refused(server, get, tmp_path):
    server.add("data.bin", CONTENT)
    server.always["data.bin"] = Fault(length=10_000)
    with pytest.raises(DataError, match="announces 10000 bytes and, in the same answer, 20000"):
        get()
    assert not (tmp_path / "data.bin").exists()


def test_a_length_that_hides_the_end_is_found_by_the_checksum_that_s3_states(server, get):
    server.add("data.bin", CONTENT, f'"{MD5}"')
    server.faults = [Fault(ignores_range=True, length=10_000, headers=S3), Fault(headers=S3)]
    assert get() == CONTENT


def test_a_length_that_always_hides_the_end_ends_in_an_error(server, get, tmp_path):
    server.add("data.bin", CONTENT, f'"{MD5}"')
    server.always["data.bin"] = Fault(ignores_range=True, length=10_000, headers=S3)
    with pytest.raises(DataError, match="does not have the checksum that is stated, 4 times in a row"):
        get()
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_say_how_long_the_file_is_is_refused(server, get):
    server.add("data.bin", CONTENT)
    server.always["data.bin"] = Fault(no_length=True, ignores_range=True)
    with pytest.raises(DataError, match="does not say how long the file is"):
        get()


def test_chunks_mark_their_own_end(server, get):
    server.add("data.bin", CONTENT)
    server.faults = [Fault(chunked=True, ignores_range=True, cut_after=4000), Fault(chunked=True, ignores_range=True)]
    assert get() == CONTENT


@pytest.mark.parametrize(("listed", "came"), [(20_001, "20000 came"), (19_999, "more came")])
def test_chunks_that_are_not_as_many_as_listed_end_in_an_error(server, get, tmp_path, listed, came):
    server.add("data.bin", CONTENT)
    server.always["data.bin"] = Fault(chunked=True, ignores_range=True)
    with pytest.raises(DataError, match=f"expected {listed} bytes as listed, {came}"):
        get(size_bytes=listed)
    assert len(server.requests) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_changes_during_the_download_begins_again(server, get, notices):
    server.add("data.bin", CONTENT)
    server.faults = [Fault(cut_after=8000)]
    newer = CONTENT[::-1]

    def change(path):
        if len(server.requests) == 2:
            server.add("data.bin", newer, '"two"')

    server.on_request = change
    assert get() == newer
    assert any("has changed" in notice for notice in notices)


def test_a_change_is_noticed_even_where_the_server_goes_on_in_the_middle(server, get):
    server.add("data.bin", CONTENT)
    server.faults = [Fault(cut_after=8000)]
    newer = CONTENT[::-1]
    server.on_request = lambda path: server.add("data.bin", newer, '"two"') if len(server.requests) == 2 else None
    server.faults += [Fault(headers={"ETag": '"two"', "Content-Range": "bytes 8000-19999/20000"})]
    assert get() == newer


def test_a_file_that_never_stops_changing_ends_in_an_error(server, get):
    server.add("data.bin", CONTENT)
    server.on_request = lambda path: server.add("data.bin", CONTENT, f'"{len(server.requests)}"')
    server.always["data.bin"] = Fault(cut_after=2000)
    with pytest.raises(DataError, match="has changed, 4 times in a row; nothing was kept"):
        get()


def test_without_etag_and_date_nothing_is_gone_on_with(server, get, notices):
    server.add("data.bin", CONTENT)
    nameless = {"ETag": None}
    server.faults = [Fault(cut_after=9000, headers=nameless), Fault(headers=nameless)]
    assert get() == CONTENT
    assert server.ranges_of("data.bin") == ["bytes=0-", "bytes=0-"]
    assert "no ETag or date" in notices[0]


def test_a_date_tells_versions_apart_where_there_is_no_etag(server, get):
    server.add("data.bin", CONTENT)
    dated = {"ETag": None, "Last-Modified": "Mon, 31 Aug 2026 00:21:32 GMT"}
    server.faults = [Fault(cut_after=9000, headers=dated), Fault(ignores_range=True, headers=dated)]
    assert get() == CONTENT


@pytest.mark.parametrize(
    ("status", "headers", "waited"),
    [(503, {"Retry-After": "7"}, 7.0), (429, {"Retry-After": "0"}, 0.5), (500, {}, 0.5)],
)
def test_a_busy_server_is_left_alone_as_long_as_it_asks(server, get, waits, status, headers, waited):
    server.add("data.bin", CONTENT)
    server.faults = [Fault(status=status, headers=headers)]
    assert get() == CONTENT
    assert waits == [waited]


def test_a_date_to_come_back_at_is_understood(server, get, waits):
    server.add("data.bin", CONTENT)
    server.faults = [Fault(status=503, headers={"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"})]
    assert get() == CONTENT
    assert waits == [0.5]


def test_a_server_that_asks_for_hours_ends_in_an_error(server, get):
    server.add("data.bin", CONTENT)
    server.faults = [Fault(status=503, headers={"Retry-After": "7200"})]
    with pytest.raises(DataError, match="asks to wait 7200 s"):
        get()


def test_a_server_that_stays_busy_ends_in_an_error_that_says_so(server, get, waits):
    server.add("data.bin", CONTENT)
    server.always["data.bin"] = Fault(status=503)
    with pytest.raises(DataError, match="answers 503; given up after 4 attempts"):
        get()
    assert waits == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(("status", "words"), [(404, "no such file"), (403, "may not be read"), (204, "no answer")])
def test_what_will_not_change_is_not_asked_for_again(server, get, waits, status, words):
    server.add("data.bin", CONTENT)
    server.always["data.bin"] = Fault(status=status)
    with pytest.raises(DataError, match=words):
        get()
    assert waits == []


def test_nobody_listening_is_a_clear_error(transport, link, listener, tmp_path, server):
    server.close()
    with pytest.raises(DataError, match=r"no connection|was cut"):
        fetch(Wanted(f"{server.url}data.bin", tmp_path / "data.bin"), transport, link, listener)


def test_a_server_that_was_never_reached_is_given_up_soon(transport, link, listener, tmp_path, server, waits):
    server.close()
    with pytest.raises(DataError, match="given up after 3 attempts"):
        fetch(Wanted(f"{server.url}data.bin", tmp_path / "data.bin"), transport, replace(link, attempts=8), listener)
    assert waits == [0.5, 1.0]


def test_a_server_that_goes_away_is_waited_for_longer(transport, link, listener, tmp_path, server, waits):
    server.add("data.bin", CONTENT)
    server.faults = [Fault(cut_after=5000)]
    patient = replace(link, attempts=8, sleep=lambda seconds: (waits.append(seconds), server.close()))
    with pytest.raises(DataError, match="given up after 8 attempts"):
        fetch(Wanted(f"{server.url}data.bin", tmp_path / "data.bin"), transport, patient, listener)
    assert (tmp_path / "data.bin.part").stat().st_size == 5000


def test_what_came_before_an_error_is_gone_on_with_by_the_next_call(server, get, tmp_path):
    server.add("data.bin", CONTENT)
    server.faults = [Fault(cut_after=12_000), *([Fault(status=503)] * 3)]
    with pytest.raises(DataError, match="what has come is kept"):
        get()
    assert (tmp_path / "data.bin.part").stat().st_size == 12_000
    server.requests.clear()
    assert get() == CONTENT
    assert server.ranges_of("data.bin") == ["bytes=12000-"]


def test_what_came_before_is_thrown_away_if_the_file_is_another_one_now(server, get):
    server.add("data.bin", CONTENT)
    server.faults = [Fault(cut_after=12_000), *([Fault(status=503)] * 3)]
    with pytest.raises(DataError):
        get()
    newer = CONTENT[:5000]
    server.add("data.bin", newer, '"two"')
    assert get() == newer


@pytest.mark.parametrize(
    ("name", "content"),
    [("data.bin.part", b"x" * 30_000), ("data.bin.part.json", b'{"mine": 1}'), ("data.bin.part.json", b"no json")],
)
def test_a_file_of_the_user_under_the_name_of_an_unfinished_one_is_left_alone(server, get, tmp_path, name, content):
    server.add("data.bin", CONTENT)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: is there already, but is not what emgpose fetched.*move it away"):
        get()
    assert (tmp_path / name).read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert server.requests == []


def test_a_part_of_which_nothing_was_synced_is_not_believed(server, get, tmp_path):
    server.add("data.bin", CONTENT)
    (tmp_path / "data.bin.part").write_bytes(b"x" * 9000)
    (tmp_path / "data.bin.part.json").write_text('{"start": 0, "synced_bytes": 0, "version": null}')
    assert get() == CONTENT


def test_a_part_is_known_as_ours_before_its_first_byte(server, tmp_path):
    part = PartialFile(tmp_path / "data.bin", 0)
    part.open().close()
    again = PartialFile(tmp_path / "data.bin", 0)
    again.require_ours()
    assert (tmp_path / "data.bin.part").exists()
    assert again.n_bytes == 0


def test_bytes_behind_the_last_sync_are_fetched_again(server, get, tmp_path):
    server.add("data.bin", CONTENT)
    server.faults = [Fault(cut_after=12_000), *([Fault(status=503)] * 3)]
    with pytest.raises(DataError):
        get()
    with (tmp_path / "data.bin.part").open("ab") as file:
        file.write(b"zeros of a power cut")
    assert get() == CONTENT


def test_a_listed_checksum_must_be_met(server, get):
    server.add("data.bin", CONTENT)
    assert get(checksum=Checksum("sha256", hashlib.sha256(CONTENT).hexdigest())) == CONTENT
    blob = hashlib.sha1(b"blob 20000\0" + CONTENT).hexdigest()
    assert get(checksum=Checksum("git", blob), size_bytes=20_000) == CONTENT
    with pytest.raises(DataError, match="checksum"):
        get(checksum=Checksum("sha256", "0" * 64))


def test_an_etag_is_no_checksum_unless_s3_made_it_of_one_part(server, get):
    server.add("data.bin", CONTENT, f'"{"0" * 32}"')
    assert get() == CONTENT
    server.add("data.bin", CONTENT, f'"{"0" * 32}-7"')
    server.always["data.bin"] = Fault(headers=S3)
    assert get() == CONTENT
    server.add("data.bin", CONTENT, f'"{"0" * 32}"')
    server.always["data.bin"] = Fault(headers={**S3, "x-amz-server-side-encryption": "aws:kms"})
    assert get() == CONTENT


def test_a_wrong_file_leaves_nothing(server, get, tmp_path):
    server.add("data.bin", b"<html>please log in</html>")
    with pytest.raises(DataError, match=r"expected better; nothing was kept: check --base-url"):
        get(check_content=lambda path: "expected better")
    assert list(tmp_path.iterdir()) == []


def test_a_size_other_than_listed_is_refused(server, get):
    server.add("data.bin", CONTENT)
    with pytest.raises(DataError, match="expected 19999 bytes as listed, the server has 20000"):
        get(size_bytes=19_999)


VERSION = RemoteVersion(20_000, '"one"', None)


def test_a_span_comes_alone_whatever_happens(server, get):
    server.add("data.bin", CONTENT)
    server.faults = [Fault(cut_after=100), Fault(stall_after=200), None]
    assert get(start=5000, size_bytes=3000, version=VERSION) == CONTENT[5000:8000]
    assert server.ranges_of("data.bin") == ["bytes=5000-7999", "bytes=5100-7999", "bytes=5300-7999"]


def test_an_empty_span_is_an_empty_file(server, get):
    server.add("data.bin", CONTENT)
    assert get(start=5000, size_bytes=0, version=VERSION) == b""


def test_a_span_of_another_version_is_refused(server, get):
    server.add("data.bin", CONTENT, '"two"')
    with pytest.raises(DataError, match="expected the version that the index was made of"):
        get(start=5000, size_bytes=3000, version=VERSION)


def test_a_span_is_refused_where_the_server_would_send_431_gib(server, get):
    server.add("data.bin", CONTENT)
    server.always["data.bin"] = Fault(ignores_range=True)
    with pytest.raises(DataError, match="sends the whole file"):
        get(start=5000, size_bytes=3000, version=VERSION)


def test_too_little_disk_is_said_before_the_first_byte(server, get, monkeypatch, tmp_path):
    server.add("data.bin", CONTENT)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(wanted_module.shutil, "disk_usage", lambda folder: usage._replace(free=30_000))
    with pytest.raises(DataError, match="GiB are needed there"):
        get()
    assert not (tmp_path / "data.bin.part").exists()


def test_a_full_disk_is_one_message_and_what_came_is_kept(server, transport, link, listener, tmp_path, monkeypatch):
    server.add("data.bin", CONTENT)
    written = []

    def fail_later(n_bytes):
        written.append(n_bytes)
        if sum(written) > 8000:
            raise OSError(28, "No space left on device")

    target = tmp_path / "data.bin"
    full = Listener(on_bytes=fail_later)
    with pytest.raises(DataError, match="the disk is full; what has come is kept"):
        fetch(Wanted(f"{server.url}data.bin", target), transport, link, full)
    server.requests.clear()
    fetch(Wanted(f"{server.url}data.bin", target), transport, link, listener)
    assert target.read_bytes() == CONTENT
    assert server.ranges_of("data.bin") != ["bytes=0-"]


def test_progress_adds_up_whatever_is_thrown_away(server, transport, link, tmp_path):
    server.add("data.bin", CONTENT)
    server.faults = [Fault(ignores_range=True, cut_after=9000), Fault(ignores_range=True)]
    counted, totals = [], []
    listener = Listener(on_bytes=counted.append, on_total=totals.append)
    fetch(Wanted(f"{server.url}data.bin", tmp_path / "data.bin"), transport, link, listener)
    assert (sum(counted), sum(totals)) == (20_000, 20_000)


def test_a_stop_ends_a_transfer_at_its_next_byte(server, transport, tmp_path, listener):
    link = Link()
    server.add("data.bin", CONTENT)
    stopping = Listener(on_bytes=lambda n: link.stop.set())
    with pytest.raises(Stopped):
        fetch(Wanted(f"{server.url}data.bin", tmp_path / "data.bin"), transport, link, stopping)
