"""Timestamp tokens as a dishonest or careless party can make them: every part can be another than it should be."""

from collections.abc import Sequence
from hashlib import sha256

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from audit.cms import CONTENT_TYPE, MESSAGE_DIGEST, SIGNED_DATA
from audit.der import (
    GENERALIZED_TIME,
    OCTET_STRING,
    SEQUENCE,
    SET,
    UTF8_STRING,
    context,
    encode,
    encode_integer,
    encode_oid,
)
from audit.tsa import SIGNING_CERTIFICATE_V2
from audit.tsp import SHA256, TST_INFO
from tests.tsa import POLICY, Issued

ECDSA_SHA256 = "1.2.840.10045.4.3.2"


def tst_info(
    data: bytes,
    *,
    at: bytes = b"20261124203108.25Z",
    nonce: int | None = 7,
    policy: str = POLICY,
    version: int = 1,
    algorithm: str = SHA256,
    extra: bytes = b"",
) -> bytes:
    """A TSTInfo over ``data``."""
    return encode(
        SEQUENCE,
        encode_integer(version),
        encode_oid(policy),
        encode(SEQUENCE, encode(SEQUENCE, encode_oid(algorithm)), encode(OCTET_STRING, sha256(data).digest())),
        encode_integer(9),
        encode(GENERALIZED_TIME, at),
        b"" if nonce is None else encode_integer(nonce),
        extra,
    )


def attribute(name: str, *values: bytes) -> bytes:
    return encode(SEQUENCE, encode_oid(name), encode(SET, *values))


def certificate_of(issued: Issued) -> bytes:
    return issued.certificate.public_bytes(Encoding.DER)


def names(issued: Issued, *, more: bytes = b"") -> bytes:
    """The attribute that names the signer's certificate (ESSCertIDv2 with SHA-256)."""
    digest = encode(OCTET_STRING, sha256(certificate_of(issued)).digest())
    return attribute(SIGNING_CERTIFICATE_V2, encode(SEQUENCE, encode(SEQUENCE, encode(SEQUENCE, digest, more))))


def attributes(info: bytes, signer: Issued) -> list[bytes]:
    """The signed attributes as they should be."""
    return [
        attribute(CONTENT_TYPE, encode_oid(TST_INFO)),
        attribute(MESSAGE_DIGEST, encode(OCTET_STRING, sha256(info).digest())),
        names(signer),
    ]


def token(
    info: bytes,
    signer: Issued,
    *,
    certificates: Sequence[Issued] | None = None,
    signed: Sequence[bytes] | None = None,
    by: Issued | None = None,
    content_type: str = TST_INFO,
    digest: str = SHA256,
    signing: str = ECDSA_SHA256,
    signers: int = 1,
    key_id: bytes | None = None,
) -> bytes:
    """A ContentInfo of ``info`` that names ``signer``, signed with the key of ``by``; ``signed`` are its attributes."""
    held = attributes(info, signer) if signed is None else list(signed)
    key = (by or signer).key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signature = key.sign(encode(SET, *held), ec.ECDSA(hashes.SHA256()))
    subject = signer.certificate
    identifier = encode(SEQUENCE, subject.issuer.public_bytes(), encode_integer(subject.serial_number))
    if key_id is not None:
        identifier = encode(context(0, constructed=False), key_id)
    info_of_signer = encode(
        SEQUENCE,
        encode_integer(1),
        identifier,
        encode(SEQUENCE, encode_oid(digest)),
        encode(context(0), *held),
        encode(SEQUENCE, encode_oid(signing)),
        encode(OCTET_STRING, signature),
    )
    shown = [signer] if certificates is None else certificates
    data = encode(
        SEQUENCE,
        encode_integer(3),
        encode(SET, encode(SEQUENCE, encode_oid(digest))),
        encode(SEQUENCE, encode_oid(content_type), encode(context(0), encode(OCTET_STRING, info))),
        encode(context(0), *(certificate_of(one) for one in shown)),
        encode(SET, *[info_of_signer] * signers),
    )
    return encode(SEQUENCE, encode_oid(SIGNED_DATA), encode(context(0), data))


def response(token: bytes = b"", *, status: int = 0, texts: Sequence[str] = (), failure: bytes = b"") -> bytes:
    """A TimeStampResp; ``failure`` is the content of the BIT STRING."""
    said = [encode(UTF8_STRING, text.encode()) for text in texts]
    parts = [encode_integer(status), encode(SEQUENCE, *said) if said else b"", encode(3, failure) if failure else b""]
    return encode(SEQUENCE, encode(SEQUENCE, *parts), token)
