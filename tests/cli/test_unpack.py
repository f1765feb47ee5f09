"""An export is unpacked from what a hub sends, and a hub may be anybody's: nothing is written outside the folder."""

import io
import tarfile
from http.client import HTTPResponse
from pathlib import Path
from typing import cast

import pytest

from bridge.cli.client import HubClient
from bridge.cli.errors import CallFailedError
from bridge.cli.fetching import fetch_bundle


class Sends(HubClient):
    """A hub that sends ``archive``."""

    archive: bytes

    def stream(self, path: str) -> HTTPResponse:
        del path
        return cast(HTTPResponse, io.BytesIO(self.archive))


def hub(*members: tuple[tarfile.TarInfo, bytes]) -> HubClient:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    found = Sends(url="http://x", token="x")
    object.__setattr__(found, "archive", out.getvalue())
    return found


def file(name: str, content: bytes = b"x") -> tuple[tarfile.TarInfo, bytes]:
    return tarfile.TarInfo(name), content


def link(name: str, kind: bytes) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    return member, b""


def test_files_are_where_their_names_say(tmp_path: Path) -> None:
    sent = hub(file("checkpoint", b"c"), file("tile/0/x001/234.p/8", b"t"), file("manifest.json.sig", b"s"))
    assert fetch_bundle(sent, 1, tmp_path / "out") == 3
    assert (tmp_path / "out/tile/0/x001/234.p/8").read_bytes() == b"t"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    "member",
    [
        file("../outside"),
        file("a/../../outside"),
        file("/tmp/outside-of-the-export"),
        file("checkpoint"),
        link("link", tarfile.SYMTYPE),
        link("hard", tarfile.LNKTYPE),
        link("pipe", tarfile.FIFOTYPE),
        link("device", tarfile.CHRTYPE),
        link("folder", tarfile.DIRTYPE),
    ],
    ids=lambda member: str(member[0].name),
)
def test_what_is_no_file_of_an_export_is_refused_whole(tmp_path: Path, member: tuple[tarfile.TarInfo, bytes]) -> None:
    sent = hub(file("checkpoint"), member, file("manifest.json.sig"))
    with pytest.raises(CallFailedError, match="the export did not arrive whole"):
        fetch_bundle(sent, 1, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_archive_that_breaks_off_is_refused_whole(tmp_path: Path) -> None:
    sent = hub(file("checkpoint"), file("manifest.json.sig"))
    for archive in (sent.archive[:700], b"no archive", b"", hub(file("checkpoint")).archive):  # type: ignore[attr-defined]  # of the fake
        object.__setattr__(sent, "archive", archive)
        with pytest.raises(CallFailedError, match=r"did not arrive whole|broke off in the middle"):
            fetch_bundle(sent, 1, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
