"""Ctrl-C: a command that is stopped says what is known; and errors for programs are JSON."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bridge.cli.main import main

ROOT = Path(__file__).parents[2]


class _Slow(BaseHTTPRequestHandler):
    """A hub that takes what it is asked, and does not answer before the test is over."""

    def do_GET(self) -> None:
        self._wait()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._wait()

    def _wait(self) -> None:
        slow = self.server
        assert isinstance(slow, _Server)
        slow.asked.set()
        slow.over.wait(60)

    def log_message(self, *_: object) -> None:
        return None


class _Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Slow)
        self.asked, self.over = threading.Event(), threading.Event()


@pytest.fixture
def slow() -> Iterator[_Server]:
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


def _start(place: Path, stdin: int, *arguments: str) -> "subprocess.Popen[str]":
    (place / "token").write_text("conclave_x.y")
    return subprocess.Popen(
        [sys.executable, "-m", "bridge.cli.main", *arguments],
        cwd=ROOT,
        env={**os.environ, "CONCLAVE_CREDENTIAL_FILE": str(place / "token")},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )


def _stopped(slow: _Server, place: Path, *arguments: str) -> tuple[int, str, str]:
    """What a command says that is stopped when its call has reached the hub."""
    url = f"http://127.0.0.1:{slow.server_port}"
    with _start(place, subprocess.DEVNULL, "--hub", url, *arguments) as process:
        try:
            assert slow.asked.wait(60)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    return process.returncode, out, err


@pytest.mark.parametrize(
    ("arguments", "look"),
    [
        (
            ("committee", "open", "c10", "--title", "C", "--chair", "a", "--members", "b"),
            "conclave committee show says whether it was; then repeat",
        ),
        (("wall", "add", "a", "b", "--reason", "x"), "conclave wall list says whether it was; then repeat"),
    ],
)
def test_a_change_that_was_asked_for_may_have_been_made(
    slow: _Server, tmp_path: Path, arguments: tuple[str, ...], look: str
) -> None:
    said = f"conclave: interrupted; what was asked may have been done\n  next: {look}\n"
    assert _stopped(slow, tmp_path, *arguments) == (130, "", said)


def test_who_only_looked_changed_nothing(slow: _Server, tmp_path: Path) -> None:
    said = "conclave: interrupted; no hub was asked to change anything\n"
    assert _stopped(slow, tmp_path, "whoami") == (130, "", said)


def test_programs_get_it_as_json(slow: _Server, tmp_path: Path) -> None:
    status, out, err = _stopped(slow, tmp_path, "company", "add", "acme", "--name", "A", "--json")
    assert (status, out, json.loads(err)) == (
        130,
        "",
        {
            "error": "interrupted",
            "detail": "interrupted; what was asked may have been done",
            "next": "conclave company show says whether it was; then repeat",
        },
    )


def _interrupt(process: "subprocess.Popen[str]") -> None:
    """Ctrl-C until it ends: a signal between the question and the wait for its answer is noticed with the next one."""
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1)


@pytest.mark.parametrize("answer", ["\n", "n\n", signal.SIGINT])
def test_whoever_does_not_agree_changes_nothing(slow: _Server, tmp_path: Path, answer: "str | signal.Signals") -> None:
    ours, theirs = pty.openpty()
    url = f"http://127.0.0.1:{slow.server_port}"
    arguments = ("company", "suspend", "acme", "--reason", "x")
    with _start(tmp_path, theirs, "--hub", url, *arguments) as process:
        os.close(theirs)
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            shown = ""
            while not shown.endswith("[y/N]: "):
                shown += (more := process.stdout.read(1))
                assert more, (shown, process.stderr.read())
            if isinstance(answer, str):
                os.write(ours, answer.encode())
            else:
                _interrupt(process)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
            os.close(ours)
    assert (process.returncode, err.lstrip("\n")) == (1, "Nothing was changed.\n")
    assert not slow.asked.is_set()


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (("company", "suspend", "x", "--reason", "x"), 2, "not_asked"),
        (("company", "list"), 1, "unreachable"),
        (("company", "show"), 2, "usage"),
        (("company", "list", "--nonsense"), 2, "usage"),
        (("nonsense",), 2, "usage"),
        (("config", "show"), 1, "settings"),
    ],
)
def test_with_json_an_error_is_json_too(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    status: int,
    error: str,
) -> None:
    (tmp_path / "token").write_text("conclave_x.y")
    (tmp_path / "conclave.toml").write_text("nonsense = 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONCLAVE_CREDENTIAL_FILE", str(tmp_path / "token"))
    with pytest.raises(SystemExit) as plain:
        main(["--hub", "http://127.0.0.1:1", *arguments])
    text = capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["--hub", "http://127.0.0.1:1", *arguments, "--json"])
    said = capsys.readouterr()
    found = json.loads(said.err)
    assert (ended.value.code, plain.value.code, said.out) == (status, status, "")
    assert (found.keys(), found["error"]) == ({"error", "detail", "next"}, error)
    assert found["detail"] in text
