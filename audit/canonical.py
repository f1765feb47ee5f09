"""Canonical JSON: the one byte string for a value (RFC 8785), for the values that an entry may hold.

Floats, integers beyond ±(2**53 - 1), keys outside ASCII and lone surrogates are refused, so that sorting and number
formatting leave no room for two opinions. Pure and alone, as ``audit.tree``.
"""

import json
from typing import Any

MAX_INTEGER = 2**53 - 1

JSON = None | bool | int | str | list["JSON"] | dict[str, "JSON"]


class CanonicalError(Exception):
    """The value has no canonical form here, or the bytes are not the canonical form of their value."""


def canonical_json(value: Any) -> bytes:
    """The RFC 8785 form of ``value``, UTF-8.

    Raises:
        CanonicalError: The value holds something that is not admitted.
    """
    try:
        _check(value, "")
        return _write(value).encode()
    except RecursionError:
        raise CanonicalError("nested too deeply") from None
    except UnicodeEncodeError as error:
        raise CanonicalError(f"a string holds a lone surrogate: {error.reason}") from None


def parse_canonical(data: bytes) -> dict[str, Any]:
    """The JSON object whose canonical form is exactly ``data``.

    Raises:
        CanonicalError: ``data`` is not JSON, not an object, or not in canonical form.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CanonicalError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise CanonicalError("not a JSON object")
    if canonical_json(value) != data:
        raise CanonicalError("not in canonical form")
    return value


_write = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def _check(value: object, where: str) -> None:
    if value is None or isinstance(value, bool | str):
        return
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise CanonicalError(f"{where or 'value'}: the integer {value} is beyond ±(2**53 - 1)")
    elif isinstance(value, list | tuple):
        for at, item in enumerate(value):
            _check(item, f"{where}[{at}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise CanonicalError(f"{where or 'value'}: the key {key!r} is not ASCII text")
            _check(item, f"{where}.{key}")
    else:
        raise CanonicalError(f"{where or 'value'}: {type(value).__name__} is not admitted")
