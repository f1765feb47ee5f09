"""Requests to a timestamp authority and its answers (RFC 3161, RFC 5816). Pure and alone, as ``audit.cms``.

The message imprint is always SHA-256.
"""

import re
from dataclasses import dataclass
from hashlib import sha256

from audit.cms import Signed, read_algorithm, read_signed
from audit.der import (
    BIT_STRING,
    BOOLEAN,
    GENERALIZED_TIME,
    INTEGER,
    NULL,
    OCTET_STRING,
    SEQUENCE,
    UTF8_STRING,
    DerError,
    Reader,
    Value,
    context,
    encode,
    encode_integer,
    encode_oid,
    read_boolean,
    read_integer,
)

SHA256 = "2.16.840.1.101.3.4.2.1"
TST_INFO = "1.2.840.113549.1.9.16.1.4"
MEDIA_REQUEST, MEDIA_REPLY = "application/timestamp-query", "application/timestamp-reply"
STATUSES = ("granted", "granted with changes", "rejection", "waiting", "revocation warning", "revocation notification")
_GRANTED = 2
REASONS = {
    0: "it does not know the algorithm",
    2: "it does not take this request",
    5: "it cannot read the request",
    14: "its time source is not available",
    15: "it does not have the policy that was asked for",
    16: "it does not have the extension that was asked for",
    17: "it cannot say what was asked for beyond the time",
    25: "it failed",
}
"""PKIFailureInfo (RFC 3161, section 2.4.2): bit → what it means."""


class TimestampError(Exception):
    """An answer or token that is no timestamp, or not the one that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampRequest:
    """What a TSA is asked: a time over a SHA-256 ``imprint``, under ``policy`` or one that the TSA chooses."""

    imprint: bytes
    nonce: int
    policy: str | None = None

    def encode(self) -> bytes:
        """The TimeStampReq in DER; the TSA's certificate is asked for (certReq)."""
        algorithm = encode(SEQUENCE, encode_oid(SHA256), encode(NULL))
        return encode(
            SEQUENCE,
            encode_integer(1),
            encode(SEQUENCE, algorithm, encode(OCTET_STRING, self.imprint)),
            b"" if self.policy is None else encode_oid(self.policy),
            encode_integer(self.nonce),
            encode(BOOLEAN, b"\xff"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A timestamp: ``at`` is its genTime in milliseconds since the epoch, cut down; ``signed`` what vouches for it.

    ``accuracy_ms`` is how far off the TSA says that it may be, rounded up; ``None`` where it does not say.
    """

    at: int
    accuracy_ms: int | None
    imprint: bytes
    policy: str
    serial: int
    nonce: int | None
    signed: Signed

    def check_data(self, data: bytes) -> None:
        """Return when this is a timestamp of ``data``.

        Raises:
            TimestampError: It is of other bytes.
        """
        if sha256(data).digest() != self.imprint:
            raise TimestampError("the timestamp is of other bytes")

    def check_request(self, request: TimestampRequest) -> None:
        """Return when this is what ``request`` asked for (RFC 3161, section 2.4.2).

        Raises:
            TimestampError: Imprint, nonce or policy is another.
        """
        if self.imprint != request.imprint:
            raise TimestampError("the timestamp is of other bytes than were asked for")
        if self.nonce != request.nonce:
            raise TimestampError("the timestamp has another nonce than was asked for: it may be an old one")
        if request.policy is not None and self.policy != request.policy:
            raise TimestampError(f"the timestamp is under the policy {self.policy}, asked for was {request.policy}")


def read_response(data: bytes) -> Token:
    """The timestamp in the TimeStampResp ``data``; neither signature nor time is checked.

    Raises:
        TimestampError: It is none, or the TSA refused.
    """
    try:
        whole = Reader(data, "the answer")
        response = whole.inside(SEQUENCE, "the TimeStampResp")
        whole.end()
        _check_status(response.inside(SEQUENCE, "the status"))
        token = response.take(SEQUENCE, "the token").raw
        response.end()
        return _token(read_signed(token))
    except DerError as error:
        raise TimestampError(f"not a timestamp response: {error}") from None


def _check_status(reader: Reader) -> None:
    status = reader.integer("the status")
    text = reader.optional(SEQUENCE, "the status text")
    failure = reader.optional(BIT_STRING, "the failure")
    reader.end()
    if 0 <= status < _GRANTED:
        return
    name = STATUSES[status] if 0 <= status < len(STATUSES) else f"status {status}"
    said = [] if failure is None else [REASONS[bit] for bit in _bits(failure.content) if bit in REASONS]
    said += [] if text is None else _texts(text.content)
    raise TimestampError(f"the TSA refused: {name}{''.join(f'; {one}' for one in said)}")


def _bits(data: bytes) -> list[int]:
    return [at * 8 + bit for at, octet in enumerate(data[1:]) for bit in range(8) if octet << bit & 0x80]


def _texts(data: bytes) -> list[str]:
    reader, found = Reader(data, "the status text"), []
    while reader.more:
        found.append(reader.take(UTF8_STRING, "a text").content.decode(errors="replace"))
    return found


def _token(signed: Signed) -> Token:
    """The TSTInfo in ``signed`` (RFC 3161, section 2.4.2); extensions are refused where they are critical."""
    if signed.content_type != TST_INFO:
        raise DerError("the token holds no TSTInfo")
    whole = Reader(signed.content, "the content")
    info = whole.inside(SEQUENCE, "the TSTInfo")
    whole.end()
    if (version := info.integer("the version")) != 1:
        raise DerError(f"the TSTInfo has version {version}, expected 1")
    policy = info.oid("the policy")
    imprint = _imprint(info.inside(SEQUENCE, "the imprint"))
    serial = info.integer("the serial number")
    at = read_time(info.take(GENERALIZED_TIME, "genTime").content)
    accuracy = info.optional(SEQUENCE, "the accuracy")
    ordering = info.optional(BOOLEAN, "the ordering")
    if ordering is not None:
        read_boolean(ordering, "the ordering")
    nonce = info.optional(INTEGER, "the nonce")
    info.optional(context(0), "the TSA's name")
    extensions = info.optional(context(1), "the extensions")
    info.end()
    _check_extensions(b"" if extensions is None else extensions.content)
    return Token(
        at=at,
        accuracy_ms=None if accuracy is None else _accuracy(Reader(accuracy.content, "the accuracy")),
        imprint=imprint,
        policy=policy,
        serial=serial,
        nonce=None if nonce is None else read_integer(nonce, "the nonce"),
        signed=signed,
    )


def _imprint(reader: Reader) -> bytes:
    algorithm = read_algorithm(reader.inside(SEQUENCE, "its algorithm"))
    imprint = reader.take(OCTET_STRING, "its hash").content
    reader.end()
    if algorithm.oid != SHA256 or algorithm.parameters or len(imprint) != 32:
        raise DerError("the imprint is no SHA-256")
    return imprint


def _accuracy(reader: Reader) -> int:
    seconds = reader.optional(INTEGER, "seconds")
    millis = reader.optional(context(0, constructed=False), "milliseconds")
    micros = reader.optional(context(1, constructed=False), "microseconds")
    reader.end()
    parts = [0 if part is None else _positive(part) for part in (seconds, millis, micros)]
    return parts[0] * 1_000 + parts[1] + bool(parts[2])


def _positive(value: Value) -> int:
    number = read_integer(value, "of the accuracy")
    if number < 0:
        raise DerError("the accuracy is less than nothing")
    return number


def _check_extensions(data: bytes) -> None:
    reader = Reader(data, "the extensions")
    while reader.more:
        extension = reader.inside(SEQUENCE, "an extension")
        name, critical = extension.oid("its name"), extension.optional(BOOLEAN, "whether it is critical")
        extension.take(OCTET_STRING, "its value")
        extension.end()
        if critical is not None and read_boolean(critical, "whether it is critical"):
            raise DerError(f"the TSTInfo has the critical extension {name}, which is not known here")


_TIME = re.compile(rb"([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})(?:\.([0-9]{0,8}[1-9]))?Z")
_MONTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def read_time(text: bytes) -> int:
    """Milliseconds since the epoch of a GeneralizedTime in UTC with seconds (RFC 3161, section 2.4.2).

    Raises:
        DerError: It is not in its one form, or no time.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise DerError("genTime is not of the form YYYYMMDDhhmmss[.s…]Z")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= month <= 12 or not 1 <= day <= _MONTHS[month - 1] + (leap and month == 2) or year < 1970:
        raise DerError("genTime is no date")
    if hour > 23 or minute > 59 or second > 59:
        raise DerError("genTime is no time of day")
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400 - _EPOCH_DAYS
    days += sum(_MONTHS[: month - 1]) + (leap and month > 2) + day - 1
    fraction = int((found[7] or b"0").ljust(3, b"0")[:3])
    return ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1_000 + fraction


_EPOCH_DAYS = 1969 * 365 + 1969 // 4 - 1969 // 100 + 1969 // 400
