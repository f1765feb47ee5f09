"""How failures reach the person at the keyboard: one sentence, and what to do next."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from config.errors import ConclaveError

USAGE, FAILURE, INTERRUPTED = 2, 1, 130


class CallFailedError(ConclaveError):
    """The hub said no, or did not answer; ``code`` is the problem's."""

    def __init__(self, message: str, *, code: str, hint: str = "", usage: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.problem_code = code
        self.usage = usage


def complain(error: ConclaveError) -> None:
    """Write the error and its hint to standard error."""
    text = error.message
    sys.stderr.write(f"conclave: {text}\n")
    if error.hint:
        sys.stderr.write(f"  next: {error.hint}\n")


@contextmanager
def reported() -> Iterator[None]:
    """Turn expected failures inside into their sentence and exit status."""
    try:
        yield
    except ConclaveError as error:
        complain(error)
        raise SystemExit(USAGE if isinstance(error, CallFailedError) and error.usage else FAILURE) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has seen enough
        raise SystemExit(FAILURE) from None
