"""Base of every error that a person may see: what was wrong, what was expected, what to do next."""

from typing import ClassVar


class ConclaveError(Exception):
    """An expected failure with a stable code; its text is written for the person at the keyboard.

    ``message`` is lower case without a final period and names the value and the expectation; ``hint`` is the next
    command or step, or empty.
    """

    code: ClassVar[str] = "failed"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def first_of(failures: BaseExceptionGroup[ConclaveError]) -> ConclaveError:
    """One failure of a task group, which ends with its first and cancels the rest."""
    failure = failures.exceptions[0]
    return first_of(failure) if isinstance(failure, BaseExceptionGroup) else failure


class InvalidInputError(ConclaveError):
    """What was given does not fit; ``field`` names the offending part where there is one."""

    code = "invalid_input"

    def __init__(self, message: str, *, field: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.field = field


class NotFoundError(ConclaveError):
    """The thing does not exist, or the actor may not see it; the two are not told apart."""

    code = "not_found"


class ConflictError(ConclaveError):
    """The thing exists already, or is in a state that does not allow the change."""

    code = "conflict"


class UnavailableError(ConclaveError):
    """Something that is needed does not answer; nothing was changed and the caller may try again."""

    code = "unavailable"


class SettingsError(ConclaveError):
    """A setting is missing or wrong; the text names the key, the value and an example."""

    code = "settings"
