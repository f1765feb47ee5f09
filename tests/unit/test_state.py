"""The state directory: its owner's alone, one process at a time, each secret made once and never empty."""

import os
import stat
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from config.state import StateDirectory, StateError, kept_secret

ROOT = os.geteuid() == 0


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    found = StateDirectory(tmp_path / "deep" / "state")
    found.prepare()
    return found


def test_directories_and_secrets_are_their_owners_alone(state: StateDirectory) -> None:
    state.token("guard_token")
    assert {mode(path) for path in (state.root, state.keys, state.tokens, state.homeserver)} == {0o700}
    assert mode(state.tokens / "guard_token") == 0o600
    assert sorted(path.name for path in state.root.iterdir()) == ["homeserver", "keys", "tokens"]


def test_preparing_again_changes_nothing(state: StateDirectory) -> None:
    token = state.token("a")
    state.prepare()
    assert state.token("a") == token


def test_a_permissive_umask_opens_nothing(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        found = StateDirectory(tmp_path / "state")
        found.prepare()
        found.token("a")
    finally:
        os.umask(before)
    assert (mode(found.root), mode(found.tokens), mode(found.tokens / "a")) == (0o700, 0o700, 0o600)


# --- where nothing can be written


@pytest.mark.parametrize("place", ["file", "below a file", "/proc/conclave"])
def test_a_place_that_is_no_directory_is_refused_in_words(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    root = {"file": tmp_path / "file", "below a file": tmp_path / "file" / "state"}.get(place, Path(place))
    with pytest.raises(StateError) as error:
        StateDirectory(root).prepare()
    assert error.value.message.startswith(f"the state directory {root} cannot be written to: ")
    assert not error.value.message.endswith("None")
    assert error.value.hint == "choose another with --state or state_dir in conclave.toml"


@pytest.mark.skipif(ROOT, reason="root writes everywhere")
def test_a_directory_that_is_read_only_is_refused_in_words(state: StateDirectory) -> None:
    state.root.chmod(0o500)
    with pytest.raises(StateError, match="cannot be written to: Permission denied"):
        state.prepare()


# --- one process at a time

HOLDER = """
import sys
from pathlib import Path
from config.state import StateDirectory
lock = StateDirectory(Path(sys.argv[1])).lock()
print("held", flush=True)
sys.stdin.read()
"""


def hold(state: StateDirectory) -> "subprocess.Popen[str]":
    """Another process that has the lock until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(state.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_another_process_is_kept_out_and_told_by_whom(state: StateDirectory) -> None:
    with hold(state) as process:
        with pytest.raises(StateError) as error:
            state.lock()
        process.communicate()
    assert error.value.message == f"the state directory {state.root} is in use by process {process.pid}"
    assert error.value.hint == "stop that one first, or choose another directory"
    state.lock().release()


def test_a_process_that_is_killed_holds_nothing(state: StateDirectory) -> None:
    with hold(state) as process:
        process.kill()
        process.wait()
    state.lock().release()


def test_within_one_process_the_lock_is_taken_once(state: StateDirectory) -> None:
    first = state.lock()
    with pytest.raises(StateError, match=f"in use by process {os.getpid()}"):
        state.lock()
    first.note(4711)
    with pytest.raises(StateError, match=r"in use by process 4711$"):
        state.lock()
    first.release()
    state.lock().release()


def test_a_child_that_was_given_the_lock_holds_it_on(state: StateDirectory) -> None:
    lock = state.lock()
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[lock.fileno()])
    lock.note(child.pid)
    lock.release()
    with pytest.raises(StateError, match=f"in use by process {child.pid}"):
        state.lock()
    child.communicate()
    state.lock().release()


# --- secrets


def test_secrets_are_long_and_differ(state: StateDirectory) -> None:
    first, second = state.token("a"), state.token("b")
    assert first != second
    assert min(len(first), len(second)) >= 43, "256 bits in base64"
    assert (state.token("a"), state.token("b")) == (first, second)


def test_a_secret_is_made_once_however_many_ask_at_once(state: StateDirectory) -> None:
    workers = 16
    barrier = Barrier(workers)

    def ask(name: str) -> str:
        barrier.wait()
        return state.token(name)

    with ThreadPoolExecutor(workers) as pool:
        for number in range(20):
            answers = Counter(pool.map(ask, [f"t{number}"] * workers))
            assert list(answers.values()) == [workers]
            assert "" not in answers
    assert len(list(state.tokens.iterdir())) == 20, "nothing half made stays behind"


def test_an_empty_secret_is_refused_in_words(state: StateDirectory) -> None:
    """As a crash between making a file and writing it leaves one: whoever shows nothing would have the right token."""
    (state.tokens / "guard_token").touch()
    with pytest.raises(StateError) as error:
        state.token("guard_token")
    assert error.value.message == f"{state.tokens}/guard_token is empty, expected a secret"
    assert error.value.hint == "put it back from a backup, or remove it and have a new one made"


def test_a_secret_that_cannot_be_made_leaves_nothing_behind(state: StateDirectory) -> None:
    def fail() -> str:
        raise RuntimeError("no randomness")

    with pytest.raises(RuntimeError):
        kept_secret(state.root / "x.credential", fail)
    assert not [path for path in state.root.iterdir() if path.is_file()]
