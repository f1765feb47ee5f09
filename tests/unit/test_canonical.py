"""Canonical JSON: the bytes of RFC 8785, and nothing else is read back."""

import json
import math
from contextlib import suppress
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from audit.canonical import MAX_INTEGER, CanonicalError, canonical_json, parse_canonical

strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
keys = st.text(st.characters(max_codepoint=127), max_size=8)
scalars = st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | strings
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)
objects = st.dictionaries(keys, values, max_size=3)


@given(values)
@example({"\x7f": '\x7f\x1f\b\f\n\r\t"\\/\u2028€😀', "B": [], "a": {}, "": -0, "10": MAX_INTEGER, "9": -MAX_INTEGER})
def test_the_form_is_that_of_rfc8785(value: Any) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


@given(objects)
def test_what_was_written_is_read_back(value: dict[str, Any]) -> None:
    assert parse_canonical(canonical_json(value)) == value


class _Kind(StrEnum):
    ONE = "one"


class _Number(IntEnum):
    TWO = 2


def test_enumerations_and_tuples_are_written_as_what_they_are() -> None:
    assert canonical_json({"a": _Kind.ONE, "b": (_Number.TWO,)}) == b'{"a":"one","b":[2]}'


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (1.0, "value: float is not admitted"),
        (math.nan, "value: float is not admitted"),
        ({"a": [0, {"b": -math.inf}]}, r"\.a\[1\]\.b: float is not admitted"),
        (MAX_INTEGER + 1, r"value: the integer 9007199254740992 is beyond ±\(2\*\*53 - 1\)"),
        ([-MAX_INTEGER - 1], r"\[0\]: the integer -9007199254740992 is beyond"),
        ({"é": 1}, "value: the key 'é' is not ASCII text"),
        ({"a": {1: 2}}, r"\.a: the key 1 is not ASCII text"),
        ("\ud800", "a string holds a lone surrogate"),
        ({"a": "x\udfff"}, "a string holds a lone surrogate"),
        (b"bytes", "value: bytes is not admitted"),
        ({"a": {1, 2}}, r"\.a: set is not admitted"),
        ({"a": MappingProxyType({"b": 1})}, r"\.a: mappingproxy is not admitted"),
    ],
)
def test_what_leaves_room_for_two_opinions_is_refused(value: Any, says: str) -> None:
    with pytest.raises(CanonicalError, match=f"^{says}"):
        canonical_json(value)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a":1}x', "not JSON"),
        (b'{"a":"\xff"}', "not JSON"),
        (b'{"a":"\n"}', "not JSON"),
        (b'{"a":' + b"9" * 5_000 + b"}", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b' {"a":1}', "not in canonical form"),
        (b'{"a":1}\n', "not in canonical form"),
        (b'{"a": 1}', "not in canonical form"),
        (b'{"b":1,"a":2}', "not in canonical form"),
        (b'{"a":1,"a":1}', "not in canonical form"),
        (b'{"a":1,"a":2}', "not in canonical form"),
        (rb'{"a":"\u0041"}', "not in canonical form"),
        (rb'{"a":"\/"}', "not in canonical form"),
        (rb'{"a":"\u001F"}', "not in canonical form"),
        (rb'{"a":"\u000a"}', "not in canonical form"),
        (rb'{"a":"\u00e9"}', "not in canonical form"),
        (b'{"a":-0}', "not in canonical form"),
        (b"\xef\xbb\xbf{}", "not in canonical form"),
        ('{"a":1}'.encode("utf-16"), "not in canonical form"),
        (b'{"a":1.0}', r"\.a: float is not admitted"),
        (b'{"a":1e2}', r"\.a: float is not admitted"),
        (b'{"a":NaN}', r"\.a: float is not admitted"),
        (b'{"a":-Infinity}', r"\.a: float is not admitted"),
        (b'{"a":9007199254740992}', r"\.a: the integer 9007199254740992 is beyond"),
        ('{"é":1}'.encode(), "value: the key 'é' is not ASCII text"),
        (rb'{"a":"\ud800"}', "a string holds a lone surrogate"),
        (b'{"a":"\xed\xa0\x80"}', "a string holds a lone surrogate"),
    ],
)
def test_another_form_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(CanonicalError, match=f"^{says}"):
        parse_canonical(data)


@given(objects, st.data())
def test_no_other_bytes_give_the_same_value(value: dict[str, Any], data: st.DataObject) -> None:
    good = canonical_json(value)
    at = data.draw(st.integers(0, len(good)))
    forged = good[:at] + data.draw(st.binary(max_size=2)) + good[at + data.draw(st.integers(0, 2)) :]
    try:
        assert (parse_canonical(forged) == value) == (forged == good)
    except CanonicalError:
        assert forged != good


@given(objects, st.sampled_from([{"indent": 1}, {"separators": (", ", ":")}, {"ensure_ascii": True}]))
def test_other_ways_to_write_a_value_are_refused(value: dict[str, Any], style: dict[str, Any]) -> None:
    compact: dict[str, Any] = {"sort_keys": True, "separators": (",", ":"), "ensure_ascii": False}
    other = json.dumps(value, **compact | style).encode()
    if other != canonical_json(value):
        with pytest.raises(CanonicalError, match="not in canonical form"):
            parse_canonical(other)


def test_no_depth_of_nesting_is_more_than_an_error() -> None:
    for depth in (10, *range(900, 1_010), 30_000):
        data = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
        with suppress(CanonicalError):
            assert canonical_json(parse_canonical(data)) == data


def test_a_value_nested_too_deeply_is_refused() -> None:
    value: list[Any] = []
    for _ in range(50_000):
        value = [value]
    with pytest.raises(CanonicalError, match="nested too deeply"):
        canonical_json(value)
