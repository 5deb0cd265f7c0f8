"""Archives unpacked safely, twice, after kills, and not at all where they are hostile."""

import io
import tarfile

import pytest

from emgpose.download.unpacking import unpack
from emgpose.errors import DataError
from made_archives import made_tar, tree

MEMBERS = {"set/a.hdf5": b"a" * 3000, "set/b.hdf5": b"b" * 10, "set/deep/c.txt": b""}


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_files_come_out_and_a_second_time_nothing_changes(tmp_path, out, mode):
    archive = tmp_path / "set.tar"
    archive.write_bytes(made_tar(MEMBERS, mode))
    assert [path.relative_to(out).as_posix() for path in unpack(archive, out)] == list(MEMBERS)
    assert tree(out) == MEMBERS
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.hdf5")}
    unpack(archive, out)
    assert times == {path: path.stat().st_mtime_ns for path in out.rglob("*.hdf5")}


def test_what_a_kill_left_half_done_is_done_again(tmp_path, out):
    archive = tmp_path / "set.tar"
    archive.write_bytes(made_tar(MEMBERS))
    (out / ".emgpose-download").mkdir()
    (out / ".emgpose-download" / "unpacking.part").write_bytes(b"z" * 100_000)
    (out / "set").mkdir()
    (out / "set" / "a.hdf5.part").write_bytes(b"a file of the user")
    unpack(archive, out)
    assert tree(out) == {**MEMBERS, "set/a.hdf5.part": b"a file of the user"}
    assert list((out / ".emgpose-download").iterdir()) == []


def test_a_file_of_the_user_is_not_overwritten(tmp_path, out):
    archive = tmp_path / "set.tar"
    archive.write_bytes(made_tar(MEMBERS))
    (out / "set").mkdir()
    (out / "set" / "b.hdf5").write_bytes(b"B" * 10)
    with pytest.raises(DataError, match="with other content"):
        unpack(archive, out)
    assert (out / "set" / "b.hdf5").read_bytes() == b"B" * 10


@pytest.mark.parametrize(
    "name",
    [
        "/etc/x",
        "../x",
        "set/../../x",
        "C:/x",
        "\\x",
        "set/..\\..\\x",
        "a\nb",
        ".",
        "a\x1b[2J",
        ".emgpose-download/x",
        "a.part",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, out, name):
    archive = tmp_path / "set.tar"
    archive.write_bytes(made_tar({name: b"x"}))
    with pytest.raises(DataError, match="refused"):
        unpack(archive, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "set.tar"]
    assert tree(out) == {}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, b"S"])
def test_links_devices_and_unknown_types_are_refused(tmp_path, out, kind):
    info = tarfile.TarInfo("set/link")
    info.type, info.linkname = kind, "/etc/passwd"
    archive = tmp_path / "set.tar"
    archive.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(DataError, match="expected files and folders; refused"):
        unpack(archive, out)
    assert tree(out) == {}


def test_a_file_that_the_archive_holds_twice_comes_once(tmp_path, out):
    archive = tmp_path / "set.tar"
    archive.write_bytes(made_tar({"a": b"a"}).rstrip(b"\0").ljust(1024, b"\0") + made_tar({"a": b"a"}))
    assert unpack(archive, out) == [out / "a"]
    archive.write_bytes(made_tar({"a": b"a"}).rstrip(b"\0").ljust(1024, b"\0") + made_tar({"a": b"b"}))
    with pytest.raises(DataError, match="with other content"):
        unpack(archive, out)


def test_a_name_that_the_disk_cannot_hold_is_one_message(tmp_path, out):
    archive = tmp_path / "set.tar"
    archive.write_bytes(made_tar({"x" * 300: b"1"}))
    with pytest.raises(DataError, match="cannot be written: File name too long"):
        unpack(archive, out)


def test_a_link_that_is_there_already_is_not_followed(tmp_path, out):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (out / "set").symlink_to(elsewhere)
    archive = tmp_path / "set.tar"
    archive.write_bytes(made_tar(MEMBERS))
    with pytest.raises(DataError, match="in the way"):
        unpack(archive, out)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.97])
def test_an_archive_cut_off_anywhere_is_an_error(tmp_path, out, mode, share):
    content = made_tar({f"set/{number}.bin": bytes([number]) * 999 for number in range(9)}, mode)
    end = len(content) if mode == "w:gz" else 9 * 1536
    archive = tmp_path / "set.tar"
    archive.write_bytes(content[: int(share * end)])
    with pytest.raises(DataError, match=r"incomplete|cut off"):
        unpack(archive, out)


def test_a_flipped_bit_in_gzip_is_an_error(tmp_path, out):
    content = bytearray(made_tar({"a.bin": bytes(range(256)) * 40}, "w:gz"))
    content[len(content) // 2] ^= 1
    archive = tmp_path / "set.tar.gz"
    archive.write_bytes(content)
    with pytest.raises(DataError):
        unpack(archive, out)


def test_a_gzip_whose_last_checksum_is_wrong_is_an_error(tmp_path, out):
    content = bytearray(made_tar(MEMBERS, "w:gz"))
    content[-6] ^= 1
    archive = tmp_path / "set.tar.gz"
    archive.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        unpack(archive, out)


def test_old_archives_mark_folders_by_their_names(tmp_path, out):
    folder = tarfile.TarInfo("set/")
    folder.type = tarfile.AREGTYPE
    archive = tmp_path / "set.tar"
    archive.write_bytes(folder.tobuf(tarfile.USTAR_FORMAT) + made_tar({"./set/a.bin": b"1"}))
    assert [path.name for path in unpack(archive, out)] == ["a.bin"]
    with tarfile.open(fileobj=io.BytesIO(archive.read_bytes())) as reference:
        assert reference.getnames() == ["set", "./set/a.bin"]
