"""How failures reach the person at the keyboard: one sentence, and what to do next."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from bridge.cli.acting import Acting, acting
from config.errors import ConclaveError

USAGE, FAILURE, INTERRUPTED = 2, 1, 130


class CallFailedError(ConclaveError):
    """The hub said no, or did not answer; ``code`` is the problem's."""

    def __init__(self, message: str, *, code: str, hint: str = "", usage: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.problem_code = code
        self.usage = usage


def complain(error: ConclaveError, *, as_json: bool = False) -> None:
    """Write the error and its hint to standard error: for people, or one JSON object for programs."""
    if as_json:
        code = error.problem_code if isinstance(error, CallFailedError) else error.code
        _write_json(code, error.message, error.hint)
        return
    sys.stderr.write(f"conclave: {error.message}\n")
    if error.hint:
        sys.stderr.write(f"  next: {error.hint}\n")


def _write_json(code: str, detail: str, hint: str) -> None:
    sys.stderr.write(json.dumps({"error": code, "detail": detail, "next": hint}, ensure_ascii=False) + "\n")


@contextmanager
def reported(*, as_json: bool = False, look: Callable[[], str] = str) -> Iterator[None]:
    """Turn expected failures inside into their sentence, or with ``as_json`` their object, and exit status.

    ``look`` names the next step where a person interrupted what a hub had been asked for already.
    """
    with acting() as command:
        try:
            yield
        except ConclaveError as error:
            complain(error, as_json=as_json)
            raise SystemExit(USAGE if isinstance(error, CallFailedError) and error.usage else FAILURE) from None
        except typer.TyperException as error:  # only where Typer does not write them itself
            _write_json("usage", error.format_message(), "--help says what a command takes")
            raise SystemExit(error.exit_code) from None
        except (KeyboardInterrupt, typer.Abort):
            complain(_interrupted(command, look), as_json=as_json)
            raise SystemExit(INTERRUPTED) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has seen enough
            raise SystemExit(FAILURE) from None


def _interrupted(command: Acting, look: Callable[[], str]) -> ConclaveError:
    if command.asked:
        detail = "interrupted; what was asked may have been done"
        return CallFailedError(detail, code="interrupted", hint=look() or "look whether it was done, then repeat")
    return CallFailedError("interrupted; no hub was asked to change anything", code="interrupted")
