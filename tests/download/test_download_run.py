"""Each source from a local server: what is left in the folder, the second time, and when something is wrong."""

import contextlib
import dataclasses
import hashlib
import json
import socket
import subprocess
import sys
import tarfile

import pytest

from emgpose.conversion.bids import convert_to_bids
from emgpose.download import Choice, download
from emgpose.download.link import Stopped
from emgpose.download.many_threads import run_all
from emgpose.download.sources import SOURCES
from emgpose.errors import ConfigError, DataError, SplitError
from emgpose.recording import read_metadata
from emgpose.recording.check import check_dataset
from generated import generate_dataset, generate_session
from made_archives import ARCHIVE, TABLE, add_full, made_hdf5, made_rows, made_table, made_tar, tree
from made_server import Fault, MadeServer

US = "split == 'test' and generalization == 'user'"
MINI, WEIGHTS, HAND = "emg2pose_dataset_mini.tar", "emg2pose_model_checkpoints.tar.gz", "generic_hand_model.json"


@pytest.fixture
def get(server, link, listener, tmp_path):
    """Download into `out` from the local server."""

    def fetched(what: str, **options):
        return download(
            what,
            tmp_path / "out",
            base_url=server.url,
            link=link,
            listener=listener,
            connections=options.pop("connections", 2),
            choice=Choice(**options),
        )

    return fetched


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_the_published_addresses_are_encrypted():
    assert all(source.base_url.startswith("https://") for source in SOURCES.values())


# One file


def test_the_table_comes_and_a_second_time_it_is_there(server, get, out):
    server.add(TABLE, made_table(made_rows()))
    outcome = get("metadata")
    assert (outcome.data, outcome.tally.n_fetched, len(read_metadata(outcome.data))) == (out / TABLE, 1, 48)
    server.requests.clear()
    outcome = get("metadata")
    assert (outcome.tally.n_fetched, outcome.tally.n_there) == (0, 1)
    assert server.ranges_of(TABLE) == ["bytes=0-0"]


def test_a_changed_table_is_fetched_again(server, get, notices, out):
    server.add(TABLE, made_table(made_rows(3)))
    get("metadata")
    newer = made_table(made_rows(4))
    server.add(TABLE, newer, '"two"')
    assert get("metadata").tally.n_fetched == 1
    assert (out / TABLE).read_bytes() == newer
    assert any("has changed since it was fetched" in notice for notice in notices)


def test_a_file_of_the_user_is_not_overwritten(server, get, out):
    server.add(TABLE, made_table(made_rows()))
    out.mkdir()
    (out / TABLE).write_bytes(b"mine")
    with pytest.raises(DataError, match="is not what emgpose fetched; nothing is overwritten"):
        get("metadata")
    assert (out / TABLE).read_bytes() == b"mine"


def test_a_fetched_file_that_was_edited_since_is_not_overwritten(server, get, out):
    server.add(TABLE, made_table(made_rows()))
    get("metadata")
    edited = (out / TABLE).read_bytes().replace(b"Fist", b"fist")
    (out / TABLE).write_bytes(edited)
    server.add(TABLE, made_table(made_rows(3)), '"two"')
    with pytest.raises(DataError, match="is not what emgpose fetched; nothing is overwritten"):
        get("metadata")
    assert (out / TABLE).read_bytes() == edited


def test_a_sidecar_with_a_checksum_is_heeded(server, get, out):
    content = made_table(made_rows())
    server.add(TABLE, content)
    server.add(f"{TABLE}.sha256", f"{hashlib.sha256(content).hexdigest()}  {TABLE}\n".encode())
    get("metadata")
    assert (out / TABLE).read_bytes() == content
    (out / TABLE).unlink()
    server.files[f"{TABLE}.sha256"] = b"0" * 64 + b"\n"
    with pytest.raises(DataError, match="does not have the checksum"):
        get("metadata")


@pytest.mark.parametrize(
    ("what", "file", "words"),
    [
        ("metadata", TABLE, "expected a table with a column filename"),
        ("hand-model", HAND, "expected UmeTrack's hand model in JSON"),
        ("mini", MINI, "expected a tar archive"),
        ("checkpoints", WEIGHTS, "expected a gzipped archive"),
    ],
)
def test_an_error_page_in_place_of_the_file_is_refused(server, get, out, what, file, words):
    server.add(file, b"<html>" + b"please log in " * 100)
    with pytest.raises(DataError, match=words):
        get(what)
    assert tree(out) == {}


def test_the_hand_model_comes(server, get, out):
    server.add(HAND, json.dumps({"joint_rotation_axes": []}).encode())
    assert get("hand-model").data == out / HAND


# Archives


def test_checkpoints_are_unpacked_and_the_archive_is_gone(server, get, out):
    files = {"emg2pose_model_checkpoints/a.ckpt": b"a" * 900, "emg2pose_model_checkpoints/b.ckpt": b"b"}
    server.add(WEIGHTS, made_tar(files, "w:gz"))
    server.faults = [Fault(cut_after=100)]
    outcome = get("checkpoints")
    assert (tree(out), outcome.data) == (files, out / "emg2pose_model_checkpoints")
    assert get("checkpoints").tally.n_there == 2
    (out / "emg2pose_model_checkpoints" / "b.ckpt").unlink()
    get("checkpoints")
    assert tree(out) == files


def test_a_hostile_archive_leaves_nothing_outside(server, get, out, tmp_path):
    server.add(MINI, made_tar({"set/a.hdf5": made_hdf5(1), "../evil": b"x"}))
    with pytest.raises(DataError, match="refused"):
        get("mini")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def mini_files(tmp_path) -> dict[str, bytes]:
    stem = "2022-12-06-1670313600-e3096-cv-emg-pose-train@2-recording"
    files = {}
    for number in (1, 2, 3):
        for side in ("left", "right"):
            path = tmp_path / f"{stem}-{number}_{side}.hdf5"
            generate_session(path, user="e3096", stage="Fist", side=side, session=f"{stem}-{number}", seconds=1)
            files[f"emg2pose_dataset_mini/{path.name}"] = path.read_bytes()
            path.unlink()
    return files


def test_the_mini_edition_gets_a_table_that_the_rest_of_emgpose_reads(server, get, out, tmp_path):
    files = mini_files(tmp_path)
    server.add(MINI, made_tar(files, tar_format=tarfile.PAX_FORMAT))
    outcome = get("mini")
    table = read_metadata(outcome.data)
    assert {path for path in tree(out) if path.endswith(".hdf5")} == set(files)
    assert table["split"].tolist() == ["train", "train", "val", "val", "test", "test"]
    assert table["user"].tolist() == ["e3096"] * 6
    assert table["side"].tolist() == ["left", "right"] * 3
    before = (outcome.data / "metadata.csv").read_bytes()
    assert get("mini").tally.n_fetched == 0
    assert (outcome.data / "metadata.csv").read_bytes() == before


def test_recordings_of_the_mini_edition_without_a_split_are_told(server, get, notices, tmp_path):
    files = mini_files(tmp_path)
    name = next(iter(files))
    server.add(MINI, made_tar({**files, name.replace("recording-1", "recording-12"): files[name]}))
    assert len(read_metadata(get("mini").data)) == 6
    assert "1 other recordings have no split" in notices[-1]
    server.add(MINI, made_tar({"set/other.hdf5": made_hdf5(1)}), '"two"')
    get("mini")
    assert "no metadata.csv was made" in notices[-1]


def test_files_of_the_finder_in_the_mini_edition_are_no_recordings(server, get, tmp_path):
    files = mini_files(tmp_path)
    finders = {name.replace("/", "/._"): b"\0\5\x16\7" for name in files}
    server.add(MINI, made_tar({**finders, **files}))
    assert len(read_metadata(get("mini").data)) == 6


def test_a_table_in_the_archive_is_the_one_that_counts(server, get, tmp_path):
    files = mini_files(tmp_path)
    rows = [{**made_rows()[0], "filename": name.split("/")[1].removesuffix(".hdf5"), "session": "s"} for name in files]
    server.add(MINI, made_tar({**files, "emg2pose_dataset_mini/metadata.csv": made_table(rows)}))
    assert set(read_metadata(get("mini").data)["session"]) == {"s"}


# Single recordings out of the full archive


def wanted_of(files: dict[str, bytes], rows) -> dict[str, bytes]:
    return {f"{row['filename']}.hdf5": files[f"{row['filename']}.hdf5"] for row in rows}


def test_only_what_the_query_names_is_fetched(server, get, out):
    files = add_full(server)
    rows = [row for row in made_rows() if row["split"] == "test" and row["generalization"] == "user"]
    outcome = get("full", where=US)
    found = tree(out)
    assert found.pop(TABLE) == server.files[TABLE]
    assert found.pop("metadata.csv") == made_table(rows)
    assert found == wanted_of(files, rows)
    assert (outcome.tally.n_fetched, outcome.missing) == (1 + len(rows), [])
    largest = max(int(asked[6:].split("-")[1]) - int(asked[6:].split("-")[0]) for asked in server.ranges_of(ARCHIVE))
    assert largest < len(server.files[ARCHIVE]) / 4


def test_a_wider_choice_adds_what_is_missing_to_the_same_folder(server, get, out):
    files = add_full(server)
    get("full", where="user == 'u0' and stage == 'Fist'")
    server.requests.clear()
    outcome = get("full", where="user == 'u0'")
    assert outcome.tally.n_there == 1 + 2
    assert outcome.tally.n_fetched == 6
    assert len(read_metadata(out)) == 8
    # The version is asked for; the index is known.
    assert len(server.ranges_of(ARCHIVE)) == 1 + 6
    get("full", everything=True)
    assert {name for name in tree(out) if name.endswith(".hdf5")} == set(files)


@pytest.mark.parametrize("mine", [b"filename,mine\na,1\n", b"\xff\xfe", made_table(made_rows(7))])
def test_a_table_of_the_user_is_not_overwritten(server, get, out, mine):
    add_full(server)
    out.mkdir()
    (out / "metadata.csv").write_bytes(mine)
    with pytest.raises(DataError, match=r"metadata.csv: has rows that emg2pose_metadata.csv has not"):
        get("full", users=1)
    assert (out / "metadata.csv").read_bytes() == mine
    assert server.ranges_of(ARCHIVE) == []


def test_rows_that_name_one_recording_twice_are_refused(server, get):
    rows = made_rows(1)
    add_full(server, rows)
    server.add(TABLE, made_table([{**row, "filename": f"a/{row['filename']}"} for row in rows] + rows))
    with pytest.raises(DataError, match="two rows name the same recording"):
        get("full", everything=True)


def test_users_and_stages_make_a_small_data_set(server, get, out):
    add_full(server)
    get("full", users=3, stages=2)
    table = read_metadata(out)
    assert (table["user"].nunique(), table["stage"].nunique(), len(table)) == (3, 2, 12)
    assert set(table["split"]) == {"train", "val", "test"}


def test_faults_on_every_path_change_nothing(server, get, out):
    files = add_full(server)
    server.faults = [
        Fault(cut_after=40),
        None,
        None,
        Fault(status=503),
        None,
        *[Fault(cut_after=137 * n % 700) if n % 3 else None for n in range(60)],
    ]
    get("full", users=2, connections=1)
    assert {name for name in tree(out) if name.endswith(".hdf5")} <= set(files)
    assert all(content == files[name] for name, content in tree(out).items() if name.endswith(".hdf5"))


def test_a_recording_that_is_no_hdf5_is_refused_and_the_others_are_kept(server, get, out):
    rows = made_rows(1)
    files = {f"{row['filename']}.hdf5": made_hdf5(n) for n, row in enumerate(rows)}
    broken = f"{rows[2]['filename']}.hdf5"
    files[broken] = b"<html>not this</html>"
    server.add(TABLE, made_table(rows))
    server.add(ARCHIVE, made_tar(files))
    with pytest.raises(DataError, match="expected an HDF5 file, what came begins with b'<html>"):
        get("full", everything=True, connections=1)
    assert set(tree(out)) == {TABLE, "metadata.csv", *[f"{row['filename']}.hdf5" for row in rows[:2]]}
    assert len(read_metadata(out)) == 2


def test_a_truncated_hdf5_file_in_the_archive_is_refused(server, get):
    rows = made_rows(1)[:1]
    server.add(TABLE, made_table(rows))
    server.add(ARCHIVE, made_tar({f"{rows[0]['filename']}.hdf5": made_hdf5(1)[:900]}))
    with pytest.raises(DataError, match="cannot be opened"):
        get("full", everything=True)


def test_recordings_of_two_versions_are_not_mixed(server, get, out):
    files = add_full(server)
    get("full", where="user == 'u0'")
    add_full(server, etag='"two"')
    with pytest.raises(DataError, match=r"another version of the archive .* fetch into a new folder"):
        get("full", where="user in ['u0', 'u1']")
    assert wanted_of(files, made_rows(1)).items() <= tree(out).items()


def test_a_recording_from_elsewhere_of_the_same_size_counts_as_there(server, get, out):
    files = add_full(server)
    out.mkdir()
    name = f"{made_rows()[0]['filename']}.hdf5"
    (out / name).write_bytes(files[name])
    assert get("full", where="user == 'u0' and stage == 'Fist'").tally.n_there == 1


def test_what_the_archive_lacks_is_told_and_the_rest_is_fetched(server, get, out):
    rows = made_rows(2)
    add_full(server, rows[:5])
    server.add(TABLE, made_table(rows))
    assert get("full", everything=True).missing == [row["filename"] for row in rows[5:]]
    assert len(read_metadata(out)) == 5
    with pytest.raises(DataError, match="holds none of the 8 recordings"):
        get("full", where="user == 'u1'")


def test_an_archive_with_two_recordings_of_one_name_is_refused(server, get):
    rows = made_rows(1)
    server.add(TABLE, made_table(rows))
    name = f"{rows[0]['filename']}.hdf5"
    server.add(ARCHIVE, made_tar({f"a/{name}": made_hdf5(1), f"b/{name}": made_hdf5(2)}))
    with pytest.raises(DataError, match="two recordings named"):
        get("full", everything=True)


def test_the_cost_of_the_index_is_told_before_it_is_made(server, get, notices):
    add_full(server)
    get("full", users=1)
    assert "about 48 requests" in notices[0]
    assert "8 recordings, 0 of them there already; to fetch: 8 recordings" in notices[1]
    notices.clear()
    get("full", users=1)
    assert not any("requests" in notice for notice in notices)


def test_everything_must_be_asked_for(get, tmp_path):
    with pytest.raises(ConfigError, match="431 GiB; say which ones"):
        get("full")
    with pytest.raises(ConfigError, match="leave one of the two out"):
        get("full", everything=True, users=1)
    with pytest.raises(ConfigError, match="leave them out"):
        get("mini", users=1)
    assert list(tmp_path.iterdir()) == []


def test_a_query_that_finds_nothing_ends_before_the_archive_is_touched(server, get):
    add_full(server)
    with pytest.raises(SplitError):
        get("full", where="user == 'nobody'")
    assert server.ranges_of(ARCHIVE) == []


def test_two_downloads_into_one_folder_are_refused(get, out):
    (out / ".emgpose-download").mkdir(parents=True)
    with holding(out / ".emgpose-download" / "lock"), pytest.raises(DataError, match="another emgpose download writes"):
        get("metadata")


def test_two_downloads_that_share_an_index_do_not_write_it_at_once(server, get, out):
    add_full(server)
    (out / ".emgpose-download").mkdir(parents=True)
    lock = out / ".emgpose-download" / f"{ARCHIVE}.index.jsonl.lock"
    with holding(lock), pytest.raises(DataError, match="another emgpose download makes this index"):
        get("full", users=1)
    get("full", users=1)
    with holding(lock):
        assert get("full", users=2).tally.n_fetched > 0  # a complete index is only read


@contextlib.contextmanager
def holding(path):
    script = "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); print(); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    yield
    process.communicate()


def test_damaged_receipts_are_an_error_and_not_forgotten(server, get, out):
    server.add(TABLE, made_table(made_rows()))
    get("metadata")
    path = out / ".emgpose-download" / "receipts.jsonl"
    path.write_text("{broken\n" + path.read_text())
    with pytest.raises(DataError, match="line 1 is damaged"):
        get("metadata")


def test_a_folder_that_cannot_be_made_is_one_message(get, out):
    out.write_text("a file")
    with pytest.raises(DataError, match="cannot write there"):
        get("metadata")


def test_an_error_in_one_connection_ends_the_others_that_wait(server, link, tmp_path):
    rows = made_rows(1)
    files = {f"{row['filename']}.hdf5": made_hdf5(n) for n, row in enumerate(rows)}
    files[f"{rows[0]['filename']}.hdf5"] = b"<html>not this</html>"
    server.add(TABLE, made_table(rows))
    server.add(ARCHIVE, made_tar(files))
    choice, patient = Choice(everything=True), dataclasses.replace(link, stall_s=60.0)
    download("full", tmp_path / "first", base_url=server.url, link=link, choice=Choice(stages=1))
    index = next((tmp_path / "first" / ".emgpose-download").glob("*.index.jsonl"))
    # The table, its version, the archive's version; then all but the first recording stall for good.
    server.requests.clear()
    server.on_request = lambda path: stall_all_but(server, 512)
    with pytest.raises(DataError, match="expected an HDF5 file"):
        download("full", tmp_path / "out", base_url=server.url, link=patient, choice=choice, index=index)


def test_a_link_serves_again_after_an_error(server, link, tmp_path):
    rows = made_rows(1)
    server.add(TABLE, made_table(rows))
    server.add(ARCHIVE, made_tar({f"{row['filename']}.hdf5": b"<html>not this</html>" for row in rows}))
    with pytest.raises(DataError, match="expected an HDF5 file"):
        download("full", tmp_path / "out", base_url=server.url, link=link, choice=Choice(everything=True))
    add_full(server, rows, '"two"')
    download("full", tmp_path / "other", base_url=server.url, link=link, choice=Choice(everything=True))


def test_a_stop_from_outside_is_no_finished_download(link):
    link.stop.set()
    with pytest.raises(Stopped):
        run_all(lambda number, transport: None, 3, 2, link)


def stall_all_but(server, start: int) -> None:
    asked = server.requests[-1][1] or ""
    is_other = server.requests[-1][0] == ARCHIVE and not asked.startswith((f"bytes={start}-", "bytes=0-"))
    server.faults = [Fault(stall_after=10)] if is_other else []


# The BIDS edition


def add_bids(server, n_subjects: int = 3) -> dict[str, bytes]:
    files = {"README.md": b"readme", "sourcedata/emg2pose_metadata.csv": b"a,b\n", "derivatives/x.txt": b"no"}
    for number in range(n_subjects):
        stem = f"sub-{number:03d}/ses-01/emg/sub-{number:03d}_ses-01_task-emg2pose_run-01_recording-left"
        files[f"{stem}_emg.bdf"] = bytes([number]) * 700
        files[f"{stem}_emg.json"] = b'{"Stage": "Fist"}'
    add_manifest(server, files)
    return files


def add_manifest(server, files: dict[str, bytes]) -> None:
    entries = {}
    for name, content in files.items():
        sha = hashlib.sha256(content).hexdigest()
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        key = f"SHA256E-s{len(content)}--{sha}.bdf" if name.endswith(".bdf") else f"git:{blob}"
        if name.endswith(".bdf"):
            server.add(f"objects/{key}", content)
        entries[name] = {
            "key": key,
            "size": len(content),
            "checksum": f"sha256:{sha}" if name.endswith(".bdf") else f"git:{blob}",
            "bytes_url": server.add(f"git/{name}", content),
        }
    server.add("version/v1.0.3.json", json.dumps({"dataset_id": "nm000281", "files": entries}).encode())


def test_the_bids_edition_comes_with_what_belongs_to_all(server, get, out):
    files = add_bids(server)
    server.faults = [None, None, None, Fault(cut_after=3), Fault(status=503)]
    get("bids", users=2)
    expected = {name: data for name, data in files.items() if not name.startswith(("sub-002", "derivatives"))}
    found = tree(out)
    assert found.pop("nemar_manifest.json") == server.files["version/v1.0.3.json"]
    assert found == expected
    assert get("bids", users=2).tally.n_fetched == 0
    get("bids", everything=True)
    assert "sub-002/ses-01/emg/sub-002_ses-01_task-emg2pose_run-01_recording-left_emg.bdf" in tree(out)


def test_a_bids_file_with_another_checksum_is_refused(server, get):
    add_bids(server)
    server.files["git/README.md"] = b"README"
    with pytest.raises(DataError, match="checksum"):
        get("bids", users=1)


def test_a_bids_file_from_elsewhere_counts_only_with_its_checksum(server, get, out):
    files = add_bids(server)
    out.mkdir()
    (out / "README.md").write_bytes(files["README.md"])
    get("bids", users=1)
    (out / "README.md").write_bytes(b"README")
    with pytest.raises(DataError, match=r"README.md: is there already, but is not what emgpose fetched"):
        get("bids", users=1)


def test_a_bids_file_that_a_newer_manifest_lists_otherwise_is_fetched_again(server, get, out):
    add_bids(server)
    get("bids", users=1)
    name = "sub-000/ses-01/emg/sub-000_ses-01_task-emg2pose_run-01_recording-left_emg.bdf"
    manifest = json.loads(server.files["version/v1.0.3.json"])
    content = b"x" * 700
    sha = hashlib.sha256(content).hexdigest()
    manifest["files"][name] |= {"key": f"SHA256E-s700--{sha}.bdf", "checksum": f"sha256:{sha}"}
    server.add(f"objects/SHA256E-s700--{sha}.bdf", content)
    server.add("version/v1.0.3.json", json.dumps(manifest).encode(), '"two"')
    assert get("bids", users=1).tally.n_fetched == 2
    assert (out / name).read_bytes() == content


@pytest.mark.parametrize("name", ["../evil", "/etc/x", "sub-000/../../x"])
def test_a_manifest_cannot_write_elsewhere(server, get, tmp_path, name):
    entry = {"key": "git:" + "0" * 40, "size": 1, "checksum": "git:" + "0" * 40, "bytes_url": f"{server.url}x"}
    files = {name: entry, "sub-000/a.json": entry, "sub-001/a.json": entry}
    server.add("version/v1.0.3.json", json.dumps({"files": files}).encode())
    with pytest.raises(DataError, match=r"refused|no such file"):
        get("bids", everything=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    "entry", [{}, {"key": "k", "size": -1, "checksum": "sha256:" + "0" * 64, "bytes_url": "x"}, {"key": 3}, []]
)
def test_a_manifest_that_is_not_understood_names_the_other_way(server, get, entry):
    server.add("version/v1.0.3.json", json.dumps({"files": {"sub-0/a": entry}}).encode())
    with pytest.raises(DataError, match="datalad clone"):
        get("bids", users=1)


def test_a_manifest_that_is_not_there_names_the_other_way(get):
    with pytest.raises(DataError, match=r"no such file.* datalad clone https://github.com/nemarDatasets/nm000281"):
        get("bids", users=1)


@pytest.mark.parametrize("options", [{"where": "user == 'a'"}, {"stages": 1}, {}, {"users": 1, "everything": True}])
def test_the_bids_edition_refuses_what_its_manifest_cannot_answer(get, options):
    with pytest.raises(ConfigError, match="bids: "):
        get("bids", **options)


# Without a network


def test_what_is_there_needs_no_server(server, get, out, notices, waits):
    server.add(HAND, json.dumps({"joint_rotation_axes": []}).encode())
    server.add(WEIGHTS, made_tar({"weights/a.ckpt": b"a" * 900}, "w:gz"))
    add_full(server)
    add_bids(server)
    asked = [("hand-model", {}), ("checkpoints", {}), ("full", {"where": US}), ("bids", {"users": 1})]
    for what, choice in asked:
        get(what, **choice)
    before = tree(out)
    server.close()
    waits.clear()
    for what, choice in asked:
        notices.clear()
        tally = get(what, **choice).tally
        assert (tally.n_fetched, tally.n_there > 0) == (0, True)
        assert any("there as" in notice and "cannot be asked" in notice for notice in notices)
    assert (waits, tree(out)) == ([0.5, 1.0], before)


def test_what_is_missing_without_a_server_is_counted(server, get, out):
    add_full(server)
    get("full", where=US)
    server.close()
    sorted(out.glob("*.hdf5"))[0].unlink()
    with pytest.raises(DataError, match=r"given up after 3 attempts.*; 11 of 12 recordings are there"):
        get("full", where=US)


ASKED = [
    ("metadata", {}),
    ("mini", {}),
    ("checkpoints", {}),
    ("hand-model", {}),
    ("full", {"where": US}),
    ("bids", {"users": 1}),
]


@pytest.mark.parametrize(("what", "choice"), ASKED)
def test_a_name_that_nobody_knows_is_given_up_after_three_attempts(link, tmp_path, waits, monkeypatch, what, choice):
    def unknown(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    patient = dataclasses.replace(link, attempts=8)
    with pytest.raises(DataError, match=r"Name or service not known.*given up after 3 attempts"):
        download(what, tmp_path, base_url="https://nowhere.invalid/", link=patient, choice=Choice(**choice))
    assert waits == [0.5, 1.0]


def test_a_server_that_cuts_the_tls_handshake_was_not_reached(link, tmp_path, waits):
    """A firewall that lets connections through and no encryption; a server without TLS looks the same."""
    plain = MadeServer()
    try:
        address = plain.url.replace("http:", "https:")
        with pytest.raises(DataError, match="given up after 3 attempts"):
            download("metadata", tmp_path, base_url=address, link=dataclasses.replace(link, attempts=8))
    finally:
        plain.close()
    assert waits == [0.5, 1.0]


def test_a_part_of_the_bids_edition_is_a_whole_data_set(server, get, out, tmp_path, notices):
    generate_dataset(tmp_path / "hdf5", n_train_users=2, n_val_users=0, n_test_users=0, n_stages=1, seconds=1.5)
    convert_to_bids(tmp_path / "hdf5", tmp_path / "bids")
    files = {name: data for name, data in tree(tmp_path / "bids").items() if not name.startswith(".")}
    add_manifest(server, files)
    get("bids", users=1)
    table, whole = read_metadata(out), read_metadata(out / "sourcedata" / "emg2pose_metadata.csv")
    assert 0 < len(table) < len(whole) == len(read_metadata(tmp_path / "hdf5"))
    assert [
        finding for finding in check_dataset(out).findings if finding.code in ("missing_file", "unknown_file")
    ] == []
    get("bids", everything=True)
    assert read_metadata(out)["filename"].tolist() == whole["filename"].tolist()
    assert not any("no table" in notice for notice in notices)


def test_a_table_of_the_user_beside_that_of_the_bids_edition_is_not_overwritten(server, get, out):
    add_bids(server)
    get("bids", users=1)
    (out / "sourcedata" / "metadata.csv").write_text("filename\nmine\n")
    with pytest.raises(DataError, match="is not overwritten"):
        get("bids", users=2)
    assert (out / "sourcedata" / "metadata.csv").read_text() == "filename\nmine\n"
