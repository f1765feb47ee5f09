"""Whether a timestamp is a TSA's: its signature and certificates, held against a trusted one, by ``cryptography``.

RFC 3161 with RFC 5816, RFC 5652, RFC 5280 as ``cryptography.x509.verification`` checks it, at the time that the
timestamp says. Revocation is not looked up.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import new as new_hash

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError

from audit.cms import CONTENT_TYPE, MESSAGE_DIGEST, Signed, attribute_octets, attribute_oid, read_algorithm
from audit.der import INTEGER, OCTET_STRING, SEQUENCE, DerError, Reader, context, read_integer
from audit.tsp import SHA256, TST_INFO, TimestampError, Token

SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.12"
SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
MAX_CHAIN = 4

_HASHES: dict[str, hashes.HashAlgorithm] = {
    SHA256: hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}
_SHA256, _SHA384, _SHA512 = _HASHES.values()
_RSA = {
    "1.2.840.113549.1.1.1": None,
    "1.2.840.113549.1.1.11": _SHA256,
    "1.2.840.113549.1.1.12": _SHA384,
    "1.2.840.113549.1.1.13": _SHA512,
}
_ECDSA = {
    "1.2.840.10045.2.1": None,
    "1.2.840.10045.4.3.2": _SHA256,
    "1.2.840.10045.4.3.3": _SHA384,
    "1.2.840.10045.4.3.4": _SHA512,
}
"""Signature algorithm → its hash; where it names none, that of the digest algorithm."""
_ED25519 = "1.3.101.112"


def read_authorities(data: bytes) -> list[x509.Certificate]:
    """The certificates, PEM, in a file of certificates that are trusted to name TSAs.

    Raises:
        TimestampError: There is none.
    """
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        raise TimestampError("no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----") from None


def verify_token(token: Token, authorities: Sequence[x509.Certificate]) -> str:
    """The name of the TSA that made ``token``, when its certificate leads to one of ``authorities``.

    Raises:
        TimestampError: The signature does not hold, the token does not name the certificate that signed it, or the
            certificate is not for timestamps, was not valid at that time, or is of nobody who is trusted.
    """
    signed = token.signed
    try:
        known = [*_load(signed.certificates), *authorities]
        certificate = _signer(signed, known)
        _check_attributes(signed, certificate)
    except DerError as error:
        raise TimestampError(f"the token is malformed: {error}") from None
    _check_signature(signed, certificate)
    _check_chain(certificate, known, authorities, token.at)
    return certificate.subject.rfc4514_string()


def _load(certificates: Sequence[bytes]) -> list[x509.Certificate]:
    try:
        return [x509.load_der_x509_certificate(data) for data in certificates]
    except ValueError:
        raise TimestampError("the token holds a malformed certificate") from None


def _signer(signed: Signed, known: Sequence[x509.Certificate]) -> x509.Certificate:
    for certificate in known:
        if isinstance(signed.signer, tuple):
            if signed.signer == (certificate.issuer.public_bytes(), certificate.serial_number):
                return certificate
        elif signed.signer == _key_id(certificate):
            return certificate
    raise TimestampError("the certificate that signed the token is not in it")


def _key_id(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None


def _check_attributes(signed: Signed, certificate: x509.Certificate) -> None:
    """What the signature covers: the content, that it is a TSTInfo, and which certificate signed."""
    if attribute_oid(_attribute(signed, CONTENT_TYPE), "the content type") != TST_INFO:
        raise TimestampError("the signed content type is not that of a timestamp")
    digest = _hash(signed.digest.oid)
    if attribute_octets(_attribute(signed, MESSAGE_DIGEST), "the message digest") != _digest(digest, signed.content):
        raise TimestampError("the signed digest is of another timestamp")
    named = [name for name in (SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2) if name in signed.attributes]
    if not named:
        raise TimestampError("the token does not say which certificate signed it (ESSCertID)")
    for name in named:
        _check_named(Reader(signed.attributes[name], "the signing certificate"), certificate, name)


def _attribute(signed: Signed, name: str) -> bytes:
    if name not in signed.attributes:
        raise TimestampError(f"the token lacks the signed attribute {name}")
    return signed.attributes[name]


def _check_named(reader: Reader, certificate: x509.Certificate, name: str) -> None:
    """Hold the first ESSCertID (RFC 2634, section 5.4) or ESSCertIDv2 (RFC 5035) against the certificate."""
    whole = reader.inside(SEQUENCE, "the signing certificate")
    first = whole.inside(SEQUENCE, "the certificates").inside(SEQUENCE, "an ESSCertID")
    algorithm: hashes.HashAlgorithm = hashes.SHA1()  # noqa: S303  # ESSCertID has no other; it names, it does not sign
    if name == SIGNING_CERTIFICATE_V2:
        given = first.optional(SEQUENCE, "its hash algorithm")
        algorithm = _SHA256 if given is None else _hash(read_algorithm(Reader(given.content, "an algorithm")).oid)
    found = first.take(OCTET_STRING, "the hash of the certificate").content
    if found != _digest(algorithm, certificate.public_bytes(Encoding.DER)):
        raise TimestampError("the token names another certificate than the one that signed it (ESSCertID)")
    if first.more:
        issuer = first.inside(SEQUENCE, "the issuer and serial number")
        names = issuer.inside(SEQUENCE, "the issuer").take(context(4), "the issuer's name").content
        serial = read_integer(issuer.take(INTEGER, "the serial number"), "the serial number")
        if (names, serial) != (certificate.issuer.public_bytes(), certificate.serial_number):
            raise TimestampError("the token names another issuer than that of its certificate (ESSCertID)")


def _hash(oid: str) -> hashes.HashAlgorithm:
    if oid not in _HASHES:
        raise TimestampError(f"the token uses the hash {oid}, expected SHA-256, SHA-384 or SHA-512")
    return _HASHES[oid]


def _digest(algorithm: hashes.HashAlgorithm, data: bytes) -> bytes:
    return new_hash(algorithm.name, data).digest()


def _check_signature(signed: Signed, certificate: x509.Certificate) -> None:
    oid, digest = signed.signing.oid, _hash(signed.digest.oid)
    try:
        key = certificate.public_key()
        if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) and key.key_size < _least(key):
            raise TimestampError(f"the TSA's key has {key.key_size} bits, too few")
        if isinstance(key, rsa.RSAPublicKey) and oid in _RSA:
            key.verify(signed.signature, signed.signed_bytes, padding.PKCS1v15(), _RSA[oid] or digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and oid in _ECDSA:
            key.verify(signed.signature, signed.signed_bytes, ec.ECDSA(_ECDSA[oid] or digest))
        elif isinstance(key, ed25519.Ed25519PublicKey) and oid == _ED25519:
            key.verify(signed.signature, signed.signed_bytes)
        else:
            raise TimestampError(f"the token is signed with {oid}, which is not known here or not of its key")
    except InvalidSignature:
        raise TimestampError("the TSA's signature does not hold") from None
    except (ValueError, UnsupportedAlgorithm):
        raise TimestampError("the TSA's certificate has a key that cannot be used") from None


def _least(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> int:
    """How many bits the key has to have (NIST SP 800-131A)."""
    return 2_048 if isinstance(key, rsa.RSAPublicKey) else 224


def _check_chain(
    certificate: x509.Certificate, known: Sequence[x509.Certificate], trusted: Sequence[x509.Certificate], at: int
) -> None:
    """Lead the certificate to a trusted one, as of ``at``; it has to be for timestamps (RFC 3161, section 2.3)."""
    ca = ExtensionPolicy.permit_all().require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
    ca = ca.may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _may_name)
    ca = ca.may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs_certificates)
    leaf = ExtensionPolicy.permit_all().require_present(x509.ExtendedKeyUsage, Criticality.CRITICAL, _is_for_time)
    leaf = leaf.may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs)
    builder = (
        PolicyBuilder().store(Store(list(trusted))).time(datetime.fromtimestamp(at // 1_000, UTC).replace(tzinfo=None))
    )
    builder = builder.max_chain_depth(MAX_CHAIN).extension_policies(ca_policy=ca, ee_policy=leaf)
    try:
        builder.build_client_verifier().verify(certificate, [one for one in known if one != certificate])
    except (VerificationError, ValueError) as error:
        raise TimestampError(f"the TSA's certificate does not lead to a trusted one: {_reason(str(error))}") from None


def _reason(text: str) -> str:
    """What went wrong, without what the library puts around it."""
    if "no interior errors" in text:
        return "none that is trusted issued it"
    inner = text.rpartition("ValueError: ")[2].partition(" (encountered processing ")[0]
    for prefix in ("validation failed: ", "candidates exhausted: "):
        inner = inner.removeprefix(prefix)
    return inner


def _is_for_time(_policy: object, _certificate: object, usage: x509.ExtendedKeyUsage | None) -> None:
    if usage is None or list(usage) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise ValueError("it is not for timestamps alone (extended key usage timeStamping)")


def _may_name(_policy: object, _certificate: object, usage: x509.ExtendedKeyUsage | None) -> None:
    allowed = {ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if usage is not None and not allowed & set(usage):
        raise ValueError("an authority in between is not for timestamps")


def _signs_certificates(_policy: object, _certificate: object, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an authority in between may not sign certificates (key usage)")


def _signs(_policy: object, _certificate: object, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not (usage.digital_signature or usage.content_commitment):
        raise ValueError("it may not sign (key usage)")
