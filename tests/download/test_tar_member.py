"""Our tar headers against those that Python's tarfile writes, and against damage."""

import io
import tarfile

import pytest

from emgpose.download.tar_member import BLOCK_BYTES, TarMember, header_fault, read_member
from emgpose.errors import DataError

NAMES = [
    "plain.hdf5",
    "folder/recording.hdf5",
    "f" * 80 + "/" + "g" * 90 + ".hdf5",
    "x" * 300 + ".hdf5",
    "ünïcode/naïve.hdf5",
]
FORMATS = [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def archive_of(names, tar_format, size=700) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tar_format) as archive:
        for number, name in enumerate(names):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = size + number, 1.5 if tar_format == tarfile.PAX_FORMAT else 1
            archive.addfile(info, io.BytesIO(bytes([number + 1]) * info.size))
    return content.getvalue()


def members_of(content: bytes) -> list[TarMember]:
    members, place = [], 0
    while (member := read_member(lambda start, n: content[start : start + n], place, "a.tar")) is not None:
        members.append(member)
        place = member.next_offset
    return members


@pytest.mark.parametrize("tar_format", FORMATS)
def test_members_are_where_tarfile_finds_them(tar_format):
    content = archive_of(NAMES, tar_format)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        expected = [(info.name, info.offset_data, info.size) for info in archive]
    assert [(member.name, member.data_offset, member.size_bytes) for member in members_of(content)] == expected


def test_posix_archives_split_long_names_in_two():
    content = archive_of(NAMES[:3], tarfile.USTAR_FORMAT)
    assert [member.name for member in members_of(content)] == NAMES[:3]


@pytest.mark.parametrize("tar_format", FORMATS)
def test_a_size_of_more_than_eight_gib_is_read(tar_format):
    info = tarfile.TarInfo("large.hdf5")
    info.size = 20 * 2**30 + 5
    header = info.tobuf(tar_format)
    member = read_member(lambda start, n: header[start : start + n], 0, "a.tar")
    assert (member.name, member.size_bytes) == ("large.hdf5", 20 * 2**30 + 5)
    assert member.next_offset == len(header) + 20 * 2**30 + 512


@pytest.mark.parametrize("tar_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["a.hdf5", "folder/"])
def test_a_size_that_no_disk_holds_is_refused(tar_format, name):
    info = tarfile.TarInfo(name)
    info.size = 2**80
    header = info.tobuf(tar_format)
    with pytest.raises(DataError, match="is no size; refused"):
        read_member(lambda start, n: header[start : start + n], 0, "a.tar")


@pytest.mark.parametrize(
    ("kind", "word"), [(tarfile.SYMTYPE, "symbolic link"), (tarfile.LNKTYPE, "hard link"), (tarfile.DIRTYPE, "folder")]
)
def test_what_is_no_file_is_named_as_what_it_is(kind, word):
    info = tarfile.TarInfo("thing")
    info.type, info.linkname = kind, "/etc/passwd"
    header = info.tobuf(tarfile.GNU_FORMAT)
    assert read_member(lambda start, n: header[start : start + n], 0, "a.tar").kind == word


@pytest.mark.parametrize("place", [0, 124, 148, 200, 511])
def test_a_flipped_bit_in_a_header_is_found(place):
    content = bytearray(archive_of(["a.hdf5"], tarfile.GNU_FORMAT))
    content[place] ^= 4
    with pytest.raises(DataError, match="byte 0: expected a tar header"):
        members_of(bytes(content))


def test_an_archive_without_an_end_mark_is_incomplete():
    content = archive_of(["a.hdf5", "b.hdf5"], tarfile.GNU_FORMAT)
    cut = content[: members_of(content)[1].next_offset]
    with pytest.raises(DataError, match="without an end mark"):
        members_of(cut)


def test_random_bytes_are_no_header():
    assert header_fault(bytes(range(256)) * 2) is not None
    assert header_fault(b"\x89HDF" + bytes(BLOCK_BYTES - 4)) is not None


@pytest.mark.parametrize(
    "records", [b"99 path=x\n", b"9 path=xy", b"x path=a\n", b"11 size=-5\n\0", b"0 a=b\n", b"12 size=1e99\n"]
)
def test_a_damaged_pax_header_is_refused(records):
    extension, file = tarfile.TarInfo("pax"), tarfile.TarInfo("a.hdf5")
    extension.type, extension.size = tarfile.XHDTYPE, len(records)
    content = extension.tobuf(tarfile.GNU_FORMAT) + records.ljust(512, b"\0") + file.tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(DataError, match=r"damaged|no size"):
        members_of(content + bytes(1024))


def test_a_header_of_gigabytes_is_refused():
    extension = tarfile.TarInfo("pax")
    extension.type, extension.size = tarfile.XHDTYPE, 2**33
    with pytest.raises(DataError, match="refused"):
        members_of(extension.tobuf(tarfile.GNU_FORMAT) + bytes(1024))


def test_headers_without_a_member_end_in_an_error():
    extension = tarfile.TarInfo("pax")
    extension.type = tarfile.XHDTYPE
    with pytest.raises(DataError, match="more than 64 headers"):
        members_of(extension.tobuf(tarfile.GNU_FORMAT) * 70 + bytes(1024))
