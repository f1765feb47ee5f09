"""Archives of bundles: one form, in which nothing stands that is not in the bundle."""

import io
import random
import tarfile
from pathlib import Path
from typing import Literal

import pytest

from audit.archive import BLOCK, END, Archive, ArchiveError, is_archive, tar_header
from tests.archives import archive, member

FILES = {"checkpoint": b"c" * 700, "pitch/trail/0.ndjson": b"", "manifest.json": b"m" * 512}


def opened(content: bytes, place: Path) -> Archive:
    path = place / "x.tar"
    path.write_bytes(content)
    return Archive.open(path)


def refused(content: bytes, place: Path) -> str:
    with pytest.raises(ArchiveError) as raised:
        opened(content, place)
    return str(raised.value)


def of(info: tarfile.TarInfo, form: Literal[0, 1, 2] = tarfile.USTAR_FORMAT) -> bytes:
    """A header that another program may write."""
    return info.tobuf(format=form)


def test_files_are_read_whole_and_in_pieces(tmp_path: Path) -> None:
    found = opened(archive(*FILES.items()), tmp_path)
    assert list(found.names()) == list(FILES)
    for name, data in FILES.items():
        assert found.read(name) == b"".join(found.chunks(name)) == data
    with pytest.raises(FileNotFoundError):
        found.read("more")
    with tarfile.open(tmp_path / "x.tar") as tar:
        assert tar.getnames() == list(FILES), "every tar reads it"


def test_one_that_is_too_large_to_be_read_whole_is_read_in_pieces(tmp_path: Path) -> None:
    size = 17 * 1024 * 1024
    found = opened(archive(("large", bytes(size))), tmp_path)
    with pytest.raises(OSError, match="larger than"):
        found.read("large")
    assert sum(map(len, found.chunks("large"))) == size


def test_one_that_is_cut_off_while_it_is_read_is_unreadable(tmp_path: Path) -> None:
    found = opened(archive(("a", b"x" * 1_000)), tmp_path)
    (tmp_path / "x.tar").write_bytes(b"x" * BLOCK)
    with pytest.raises(OSError, match="cut off"):
        found.read("a")


def info(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.mode = kind, 0o644
    if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        found.linkname = "/etc/passwd"
    return found


def owned() -> tarfile.TarInfo:
    found = info("a")
    found.uname = "somebody"
    return found


KINDS = {
    "a link": of(info("a", tarfile.SYMTYPE)),
    "a is a link": of(info("a", tarfile.LNKTYPE)),
    "a is a device": of(info("a", tarfile.CHRTYPE)),
    "is a device": of(info("a", tarfile.BLKTYPE)),
    "is a pipe": of(info("a", tarfile.FIFOTYPE)),
    "is a folder": of(info("a", tarfile.DIRTYPE)),
    "no regular file": of(info("a", tarfile.GNUTYPE_SPARSE), tarfile.GNU_FORMAT),
    "././@PaxHeader is no regular file": of(info("é" * 60), tarfile.PAX_FORMAT),
    "././@LongLink is no regular file": of(info("a" * 200), tarfile.GNU_FORMAT),
    "the name /etc/a leads elsewhere": tar_header("/etc/a", 0),
    "the name ../a leads elsewhere": tar_header("../a", 0),
    "the name b/../../a leads elsewhere": tar_header("b/../../a", 0),
    "the name ./a leads elsewhere": tar_header("./a", 0),
    "the name b//a leads elsewhere": tar_header("b//a", 0),
    "the name b\\a leads elsewhere": tar_header("b\\a", 0),
    r"the name a\x00b leads elsewhere": tar_header("a\0b", 0),
    "the name C:a leads elsewhere": tar_header("C:a", 0),
    r"the name a\nb leads elsewhere": tar_header("a\nb", 0),
    "the name a  leads elsewhere": tar_header("a ", 0),
    "the header of a is not as the hub writes it": of(owned()),
    "something stands between its files": b"x" * BLOCK,
    "checkpoint is in it twice": member("checkpoint", b"d"),
}


@pytest.mark.parametrize("text", KINDS)
def test_what_is_no_file_of_a_bundle_is_refused(tmp_path: Path, text: str) -> None:
    before, after = member("checkpoint", b"c"), member("manifest.json", b"m")
    assert text in refused(before + KINDS[text] + after + END, tmp_path)


def test_what_stands_behind_a_file_or_the_end_is_refused(tmp_path: Path) -> None:
    whole = archive(*FILES.items())
    for more in (b"\n", b"\0", bytes(BLOCK), whole):
        assert "something stands behind its end" in refused(whole + more, tmp_path)
    assert "something stands behind checkpoint" in refused(
        tar_header("checkpoint", 1) + b"cx" + bytes(510) + END, tmp_path
    )
    assert "breaks off" in refused(bytes(BLOCK) + member("checkpoint", b"") + END, tmp_path)


def test_wherever_it_breaks_off_it_is_refused(tmp_path: Path) -> None:
    whole = archive(*FILES.items())
    for size in (*range(0, len(whole), 256), 1, len(whole) - 1):
        assert "breaks off" in refused(whole[:size], tmp_path), size


def test_every_flipped_bit_is_refused_or_in_a_file(tmp_path: Path) -> None:
    whole, dice = archive(*FILES.items()), random.Random(7)
    for _ in range(2_000):
        data = bytearray(whole)
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        try:
            found = opened(bytes(data), tmp_path)
        except ArchiveError:
            continue
        assert {name: found.read(name) for name in found.names()} != FILES


def test_more_files_than_there_can_be_are_refused(tmp_path: Path) -> None:
    content = io.BytesIO()
    for number in range(65_537):
        content.write(tar_header(str(number), 0))
    assert "more than 65,536 files" in refused(content.getvalue() + END, tmp_path)


def test_what_is_meant_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no archive")
    (tmp_path / "b").write_bytes(archive(*FILES.items()))
    (tmp_path / "c.tlog-proof").write_bytes(b"c2sp.org/tlog-proof@v1\n")
    assert [is_archive(tmp_path / name) for name in ("a.tar", "b", "c.tlog-proof")] == [True, True, False]
    with pytest.raises(ArchiveError, match="breaks off in the middle"):
        Archive.open(tmp_path / "a.tar")
