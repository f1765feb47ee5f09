"""A strict reader of DER, and the little writing that a timestamp request needs (ITU-T X.690, section 10).

Pure and alone, as ``audit.tree``. One value has one encoding: lengths and integers are minimal, a value ends where its
holder ends, and nothing is passed over that nobody asked for.
"""

from dataclasses import dataclass

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, NULL, OID = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
UTF8_STRING, GENERALIZED_TIME, SEQUENCE, SET = 0x0C, 0x18, 0x30, 0x31
MAX_LENGTH_BYTES = 4


class DerError(Exception):
    """Bytes that are not the DER that was expected; the text names the value that was looked for."""


def context(number: int, *, constructed: bool = True) -> int:
    """The identifier octet of the context-specific tag ``[number]``, at most 30."""
    return (0xA0 if constructed else 0x80) | number


@dataclass(frozen=True, slots=True)
class Value:
    """One encoded value: its identifier octet, its contents, and all its bytes."""

    tag: int
    content: bytes
    raw: bytes


class Reader:
    """Takes the values in ``data`` in order; ``what`` names their holder in errors."""

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._at = 0
        self._what = what

    @property
    def more(self) -> bool:
        """Whether anything is left."""
        return self._at < len(self._data)

    def any(self, what: str) -> Value:
        """The next value, whatever its tag.

        Raises:
            DerError: Nothing is left, or what is there is not DER.
        """
        start = self._at
        if len(self._data) < start + 2:
            raise DerError(f"{self._what} ends where {what} was expected")
        tag, first = self._data[start], self._data[start + 1]
        if tag & 0x1F == 0x1F:
            raise DerError(f"{what} has a tag of more than one byte")
        begin, length = start + 2, first
        if first & 0x80:
            count = first & 0x7F
            begin += count
            octets = self._data[start + 2 : begin]
            length = int.from_bytes(octets, "big")
            if not 1 <= count <= MAX_LENGTH_BYTES or len(octets) != count or length < 0x80 or not octets[0]:
                raise DerError(f"the length of {what} is not in its one form")
        self._at = begin + length
        if len(self._data) < self._at:
            raise DerError(f"{what} is longer than {self._what} that holds it")
        return Value(tag, self._data[begin : self._at], self._data[start : self._at])

    def take(self, tag: int, what: str) -> Value:
        """The next value, which has the identifier octet ``tag``.

        Raises:
            DerError: It has not, nothing is left, or what is there is not DER.
        """
        found = self.any(what)
        if found.tag != tag:
            raise DerError(f"{what} has the tag 0x{found.tag:02x} in {self._what}, expected 0x{tag:02x}")
        return found

    def optional(self, tag: int, what: str) -> Value | None:
        """The next value if it has the identifier octet ``tag``; else nothing is taken."""
        return self.take(tag, what) if self.more and self._data[self._at] == tag else None

    def inside(self, tag: int, what: str) -> "Reader":
        """A reader of what the next value holds, which has the identifier octet ``tag``."""
        return Reader(self.take(tag, what).content, what)

    def end(self) -> None:
        """Return when nothing is left.

        Raises:
            DerError: Something is.
        """
        if self.more:
            raise DerError(f"{self._what} holds more than it may")

    def integer(self, what: str) -> int:
        """The next value, an INTEGER."""
        return read_integer(self.take(INTEGER, what), what)

    def oid(self, what: str) -> str:
        """The next value, an OBJECT IDENTIFIER, as numbers with dots."""
        return read_oid(self.take(OID, what), what)


def read_integer(value: Value, what: str) -> int:
    """The number in an INTEGER, whatever the tag that stands in the place of its own.

    Raises:
        DerError: It is empty or longer than needed.
    """
    data = value.content
    if not data or (len(data) > 1 and data[0] == (0xFF if data[1] & 0x80 else 0)):
        raise DerError(f"the number {what} is not in its one form")
    return int.from_bytes(data, "big", signed=True)


def read_oid(value: Value, what: str) -> str:
    """The OBJECT IDENTIFIER in ``value``, as numbers with dots.

    Raises:
        DerError: A part of it is longer than needed, or cut off.
    """
    data, parts, part, fresh = value.content, list[int](), 0, True
    if not data or data[-1] & 0x80 or len(data) > 64:
        raise DerError(f"the object identifier {what} is not in its one form")
    for octet in data:
        if fresh and octet == 0x80:
            raise DerError(f"the object identifier {what} is not in its one form")
        part, fresh = part << 7 | octet & 0x7F, not octet & 0x80
        if fresh:
            parts.append(part)
            part = 0
    first = min(parts[0] // 40, 2)
    return ".".join(map(str, (first, parts[0] - 40 * first, *parts[1:])))


def read_boolean(value: Value, what: str) -> bool:
    """The truth in a BOOLEAN.

    Raises:
        DerError: It is neither 0x00 nor 0xFF.
    """
    if value.content not in (b"\x00", b"\xff"):
        raise DerError(f"{what} is neither true nor false")
    return value.content == b"\xff"


def encode(tag: int, *contents: bytes) -> bytes:
    """A value with the identifier octet ``tag``."""
    content = b"".join(contents)
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def encode_integer(number: int) -> bytes:
    """An INTEGER, not negative."""
    return encode(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def encode_oid(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER written as numbers with dots.

    Raises:
        ValueError: It is none.
    """
    first, second, *rest = (int(part) for part in dotted.split("."))
    if first > 2 or (first < 2 and second > 39):
        raise ValueError(f"{dotted} is no object identifier")
    data = b""
    for part in (first * 40 + second, *rest):
        octets = [part & 0x7F]
        while part := part >> 7:
            octets.append(part & 0x7F | 0x80)
        data += bytes(reversed(octets))
    return encode(OID, data)
