"""Signed data as a timestamp token has it: one signer, signed attributes (RFC 5652, section 5).

Pure and alone: this reads; ``audit.tsa`` holds signature and certificates against a trusted one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from audit.der import INTEGER, NULL, OCTET_STRING, SEQUENCE, SET, DerError, Reader, context, read_integer

SIGNED_DATA = "1.2.840.113549.1.7.2"
CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """An algorithm's object identifier, and its parameters as they are encoded; empty where absent or NULL."""

    oid: str
    parameters: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """Signed data of one signer.

    ``signer`` is (issuer's Name, serial number), or the subject key identifier; ``signed_bytes`` is what the
    signature covers: the signed attributes as a SET (RFC 5652, section 5.4); ``attributes`` their single values.
    """

    content_type: str
    content: bytes
    certificates: tuple[bytes, ...]
    signer: tuple[bytes, int] | bytes
    digest: Algorithm
    attributes: Mapping[str, bytes]
    signed_bytes: bytes
    signing: Algorithm
    signature: bytes


def read_signed(data: bytes) -> Signed:
    """The signed data in the ContentInfo ``data``.

    Raises:
        DerError: It is something else, not DER, or has not exactly one signer with signed attributes.
    """
    whole = Reader(data, "the token")
    info = whole.inside(SEQUENCE, "the ContentInfo")
    whole.end()
    if info.oid("its type") != SIGNED_DATA:
        raise DerError("the token is no signed data")
    wrapped = info.inside(context(0), "its content")
    info.end()
    signed = wrapped.inside(SEQUENCE, "the SignedData")
    wrapped.end()
    signed.integer("the version of the SignedData")
    signed.take(SET, "the digest algorithms")
    content_type, content = _content(signed.inside(SEQUENCE, "the encapsulated content"))
    held = signed.optional(context(0), "the certificates")
    signed.optional(context(1), "the revocation lists")
    signers = signed.inside(SET, "the signers")
    signed.end()
    signer = signers.inside(SEQUENCE, "the signer")
    signers.end()
    return _signer(signer, content_type, content, () if held is None else _certificates(held.content))


def _content(reader: Reader) -> tuple[str, bytes]:
    content_type = reader.oid("the type of the content")
    wrapped = reader.inside(context(0), "the content")
    reader.end()
    content = wrapped.take(OCTET_STRING, "the content").content
    wrapped.end()
    return content_type, content


def _certificates(data: bytes) -> tuple[bytes, ...]:
    """The X.509 certificates of the set; other kinds of certificates are passed over."""
    reader, found = Reader(data, "the certificates"), []
    while reader.more:
        value = reader.any("a certificate")
        if value.tag == SEQUENCE:
            found.append(value.raw)
    return tuple(found)


def _signer(reader: Reader, content_type: str, content: bytes, certificates: tuple[bytes, ...]) -> Signed:
    reader.integer("the version of the signer")
    key_id = reader.optional(context(0, constructed=False), "the subject key identifier")
    signer = key_id.content if key_id is not None else read_issuer(reader.inside(SEQUENCE, "the signer's name"))
    digest = read_algorithm(reader.inside(SEQUENCE, "the digest algorithm"))
    attributes = reader.take(context(0), "the signed attributes")
    signing = read_algorithm(reader.inside(SEQUENCE, "the signature algorithm"))
    signature = reader.take(OCTET_STRING, "the signature").content
    reader.optional(context(1), "the unsigned attributes")
    reader.end()
    return Signed(
        content_type=content_type,
        content=content,
        certificates=certificates,
        signer=signer,
        digest=digest,
        attributes=_attributes(attributes.content),
        signed_bytes=bytes([SET]) + attributes.raw[1:],
        signing=signing,
        signature=signature,
    )


def read_issuer(reader: Reader) -> tuple[bytes, int]:
    """An IssuerAndSerialNumber."""
    name = reader.take(SEQUENCE, "the issuer's name").raw
    serial = read_integer(reader.take(INTEGER, "the serial number"), "the serial number")
    reader.end()
    return name, serial


def read_algorithm(reader: Reader) -> Algorithm:
    """An AlgorithmIdentifier."""
    oid = reader.oid("an algorithm")
    parameters = reader.any("its parameters") if reader.more else None
    reader.end()
    absent = parameters is None or parameters.raw == bytes([NULL, 0])
    return Algorithm(oid=oid, parameters=b"" if absent or parameters is None else parameters.raw)


def _attributes(data: bytes) -> dict[str, bytes]:
    """Each attribute's one value, as it is encoded (RFC 5652, section 11: those that are needed have one value)."""
    reader, found = Reader(data, "the signed attributes"), dict[str, bytes]()
    while reader.more:
        attribute = reader.inside(SEQUENCE, "a signed attribute")
        name, values = attribute.oid("its type"), attribute.inside(SET, "its values")
        attribute.end()
        if name in found:
            raise DerError(f"the signed attribute {name} stands there twice")
        found[name] = values.any("its value").raw
        if values.more and name in (CONTENT_TYPE, MESSAGE_DIGEST):
            raise DerError(f"the signed attribute {name} has more than one value")
    return found


def attribute_oid(data: bytes, what: str) -> str:
    """The object identifier that is an attribute's value."""
    reader = Reader(data, what)
    found = reader.oid(what)
    reader.end()
    return found


def attribute_octets(data: bytes, what: str) -> bytes:
    """The octets that are an attribute's value."""
    reader = Reader(data, what)
    found = reader.take(OCTET_STRING, what).content
    reader.end()
    return found
