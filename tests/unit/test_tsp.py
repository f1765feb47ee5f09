"""Answers of a TSA are taken apart strictly; what is not what was asked for is refused in words."""

import random
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from audit.cms import read_signed
from audit.der import BOOLEAN, INTEGER, OCTET_STRING, SEQUENCE, DerError, context, encode, encode_integer, encode_oid
from audit.tsp import TimestampError, TimestampRequest, read_response, read_time
from tests.tokens import attribute, attributes, response, token, tst_info
from tests.tsa import OTHER_POLICY, POLICY, issue

TSA = issue("TSA")
DATA = b"the checkpoint"
GOOD = response(token(tst_info(DATA), TSA))


def refused(answer: bytes) -> str:
    with pytest.raises(TimestampError) as error:
        read_response(answer)
    return str(error.value)


def test_an_answer_is_read() -> None:
    found = read_response(GOOD)
    assert datetime.fromtimestamp(found.at / 1_000, UTC).isoformat() == "2026-11-24T20:31:08.250000+00:00"
    assert (found.policy, found.serial, found.nonce, found.accuracy_ms) == (POLICY, 9, 7, None)
    found.check_data(DATA)
    found.check_request(TimestampRequest(imprint=sha256(DATA).digest(), nonce=7))
    found.check_request(TimestampRequest(imprint=sha256(DATA).digest(), nonce=7, policy=POLICY))


def test_an_answer_to_something_else_is_refused() -> None:
    found, imprint = read_response(GOOD), sha256(DATA).digest()
    with pytest.raises(TimestampError, match=r"the timestamp is of other bytes$"):
        found.check_data(b"another")
    for request, says in (
        (TimestampRequest(imprint=bytes(32), nonce=7), "the timestamp is of other bytes than were asked for"),
        (TimestampRequest(imprint=imprint, nonce=8), "another nonce than was asked for: it may be an old one"),
        (
            TimestampRequest(imprint=imprint, nonce=7, policy=OTHER_POLICY),
            f"is under the policy {POLICY}, asked for was {OTHER_POLICY}",
        ),
    ):
        with pytest.raises(TimestampError, match=says):
            found.check_request(request)
    without = read_response(response(token(tst_info(DATA, nonce=None), TSA)))
    with pytest.raises(TimestampError, match="another nonce"):
        without.check_request(TimestampRequest(imprint=imprint, nonce=7))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (response(status=2), "the TSA refused: rejection"),
        (response(status=3, texts=["wait", "a day"]), "the TSA refused: waiting; wait; a day"),
        (response(status=2, failure=b"\x05\x20"), "the TSA refused: rejection; it does not take this request"),
        (response(status=2, failure=b"\x00\x00\x01"), "it does not have the policy that was asked for"),
        (response(status=9), "the TSA refused: status 9"),
        (response(status=0), "the TimeStampResp ends where the token was expected"),
        (b"", "the answer ends where the TimeStampResp was expected"),
        (b"<!DOCTYPE html>", "not a timestamp response: "),
        (GOOD + b"\0", "the answer holds more than it may"),
        (GOOD[:-1], "the TimeStampResp is longer than the answer"),
        (response(encode(SEQUENCE, encode_oid("1.2.840.113549.1.7.1"))), "the token is no signed data"),
        (response(token(tst_info(DATA), TSA, content_type="1.2.840.113549.1.7.1")), "the token holds no TSTInfo"),
        (response(token(tst_info(DATA), TSA, signers=2)), "the signers holds more than it may"),
        (response(token(tst_info(DATA), TSA, signers=0)), "the signers ends where the signer was expected"),
        (response(token(tst_info(DATA, version=2), TSA)), "the TSTInfo has version 2, expected 1"),
        (response(token(tst_info(DATA, algorithm="1.3.14.3.2.26"), TSA)), "the imprint is no SHA-256"),
        (response(token(tst_info(DATA, at=b"20261124203108+0100"), TSA)), "genTime is not of the form"),
        (response(token(tst_info(DATA, extra=encode(OCTET_STRING)), TSA)), "the TSTInfo holds more than it may"),
    ],
)
def test_an_answer_without_a_timestamp_is_refused_in_words(answer: bytes, says: str) -> None:
    assert says in refused(answer)


def test_a_critical_extension_is_refused_and_another_passed_over() -> None:
    def extended(critical: bytes) -> bytes:
        extension = encode(SEQUENCE, encode_oid("1.2.3"), critical, encode(OCTET_STRING, b"x"))
        return response(token(tst_info(DATA, extra=encode(context(1), extension)), TSA))

    assert "the critical extension 1.2.3, which is not known here" in refused(extended(encode(BOOLEAN, b"\xff")))
    assert read_response(extended(b"")).serial == 9


def test_the_accuracy_is_read_and_rounded_up() -> None:
    def accurate(*parts: bytes) -> bytes:
        return response(token(tst_info(DATA, nonce=None, extra=encode(SEQUENCE, *parts)), TSA))

    millis, micros = context(0, constructed=False), context(1, constructed=False)
    assert read_response(accurate(encode_integer(2))).accuracy_ms == 2_000
    assert read_response(accurate(encode(millis, b"\x05"), encode(micros, b"\x01"))).accuracy_ms == 6
    assert "the accuracy is less than nothing" in refused(accurate(encode(INTEGER, b"\xff")))
    assert "of the accuracy is not in its one form" in refused(accurate(encode(millis, b"")))


def test_a_signed_attribute_stands_there_once() -> None:
    info = tst_info(DATA)
    held = attributes(info, TSA)
    assert "stands there twice" in refused(response(token(info, TSA, signed=[*held, held[0]])))
    two = attribute("1.2.840.113549.1.9.3", encode_oid("1.2.3"), encode_oid("1.2.4"))
    assert "has more than one value" in refused(response(token(info, TSA, signed=[two, *held[1:]])))


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31)))  # noqa: DTZ001  # UTC below
def test_a_time_is_read_as_it_was_written(moment: datetime) -> None:
    fraction = f".{moment.microsecond:06d}".rstrip("0.")
    millis = read_time(f"{moment:%Y%m%d%H%M%S}".rjust(14, "0").encode() + fraction.encode() + b"Z")
    expected = moment.replace(tzinfo=UTC, microsecond=0).timestamp() * 1_000 + moment.microsecond // 1_000
    assert millis == expected


@pytest.mark.parametrize(
    "text",
    [
        *(b"20260229000000Z", b"20261301000000Z", b"20260001000000Z", b"20260100000000Z", b"19691231235959Z"),
        *(b"20260101240000Z", b"20260101006000Z", b"20260101000060Z", b"202601010000Z", b"20260101000000"),
        *(b"20260101000000.Z", b"20260101000000.10Z", b"20260101000000,5Z", b"20260101000000Z\n", b"21000229000000Z"),
    ],
)
def test_other_forms_of_a_time_are_refused(text: bytes) -> None:
    with pytest.raises(DerError, match="genTime is"):
        read_time(text)


def test_no_bytes_bring_the_reader_down() -> None:
    chance = random.Random(1)
    for _ in range(3_000):
        data = bytearray(GOOD)
        for _ in range(chance.randint(1, 3)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        cut = bytes(data[: chance.randrange(len(data))]) if chance.random() < 0.2 else bytes(data)
        with suppress(TimestampError):
            read_response(cut)


def test_the_signed_bytes_are_those_of_a_set() -> None:
    signed = read_signed(token(tst_info(DATA), TSA))
    assert signed.signed_bytes[0] == 0x31
    assert signed.certificates == (TSA.certificate.public_bytes(Encoding.DER),)
