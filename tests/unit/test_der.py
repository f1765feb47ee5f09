"""DER has one form for each value: the reader takes that one, and the writer makes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.der import (
    BOOLEAN,
    INTEGER,
    OCTET_STRING,
    OID,
    SEQUENCE,
    DerError,
    Reader,
    Value,
    encode,
    encode_integer,
    encode_oid,
    read_boolean,
    read_integer,
    read_oid,
)


@given(st.integers(min_value=0, max_value=2**200))
def test_a_number_is_read_as_it_was_written(number: int) -> None:
    reader = Reader(encode_integer(number), "x")
    assert reader.integer("n") == number
    reader.end()


@given(st.integers(0, 2), st.lists(st.integers(0, 2**40), min_size=1, max_size=6), st.integers(0, 39))
def test_an_object_identifier_is_read_as_it_was_written(first: int, rest: list[int], second: int) -> None:
    dotted = ".".join(map(str, (first, second, *rest)))
    assert Reader(encode_oid(dotted), "x").oid("o") == dotted


def test_an_object_identifier_of_the_third_arc_has_a_large_second_part() -> None:
    assert encode_oid("2.999.3").hex() == "0603883703"  # X.690, section 8.19.5
    assert Reader(bytes.fromhex("0603883703"), "x").oid("o") == "2.999.3"
    with pytest.raises(ValueError, match="is no object identifier"):
        encode_oid("1.40")


@given(st.binary(max_size=70_000))
def test_what_is_encoded_is_read_whole(content: bytes) -> None:
    reader = Reader(encode(OCTET_STRING, content), "x")
    assert reader.take(OCTET_STRING, "o").content == content
    assert not reader.more


@given(st.binary(max_size=60))
def test_no_bytes_are_read_as_what_they_do_not_encode(data: bytes) -> None:
    try:
        value = Reader(data, "x").any("v")
    except DerError:
        return
    assert encode(value.tag, value.content) == value.raw == data[: len(value.raw)]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("", "x ends where v was expected"),
        ("30", "x ends where v was expected"),
        ("3001", "v is longer than x that holds it"),
        ("3080", "the length of v is not in its one form"),
        ("30810100", "the length of v is not in its one form"),
        ("3082008000", "the length of v is not in its one form"),
        ("308500000000", "the length of v is not in its one form"),
        ("3081", "the length of v is not in its one form"),
        ("1f8101", "v has a tag of more than one byte"),
    ],
)
def test_other_forms_of_a_value_are_refused(data: str, says: str) -> None:
    with pytest.raises(DerError) as refused:
        Reader(bytes.fromhex(data), "x").any("v")
    assert str(refused.value) == says


@pytest.mark.parametrize("data", ["", "0001", "007f", "ff80", "ffff"])
def test_other_forms_of_a_number_are_refused(data: str) -> None:
    with pytest.raises(DerError, match="the number n is not in its one form"):
        read_integer(Value(INTEGER, bytes.fromhex(data), b""), "n")


@pytest.mark.parametrize("data", ["", "80", "8001", "2a8001", "2a81", "2a" * 65])
def test_other_forms_of_an_object_identifier_are_refused(data: str) -> None:
    with pytest.raises(DerError, match="the object identifier o is not in its one form"):
        read_oid(Value(OID, bytes.fromhex(data), b""), "o")


def test_a_negative_number_and_both_truths_are_read() -> None:
    assert read_integer(Value(INTEGER, b"\xff", b""), "n") == -1
    assert [read_boolean(Value(BOOLEAN, bytes([octet]), b""), "b") for octet in (0, 255)] == [False, True]
    with pytest.raises(DerError, match="b is neither true nor false"):
        read_boolean(Value(BOOLEAN, b"\x01", b""), "b")


def test_what_is_left_over_or_of_another_tag_is_refused() -> None:
    data = encode(SEQUENCE, encode_integer(1), encode_integer(2))
    inside = Reader(data, "x").inside(SEQUENCE, "s")
    assert inside.integer("n") == 1
    with pytest.raises(DerError, match="s holds more than it may"):
        inside.end()
    with pytest.raises(DerError, match="o has the tag 0x02 in s, expected 0x04"):
        inside.take(OCTET_STRING, "o")
    assert Reader(data, "x").optional(OCTET_STRING, "o") is None
