"""A token counts when the certificate that it names signed it, is for timestamps, and leads to a trusted one."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from hashlib import sha1, sha256
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from audit.cms import CONTENT_TYPE, MESSAGE_DIGEST
from audit.der import OCTET_STRING, SEQUENCE, context, encode, encode_integer, encode_oid
from audit.tsa import SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2, read_authorities, verify_token
from audit.tsp import TimestampError, read_response
from tests.tokens import attribute, attributes, certificate_of, names, response, token, tst_info
from tests.tsa import TIME_STAMPING, Issued, issue

ROOT = issue("Root", ca=True, starts=timedelta(days=-365))
LONG = timedelta(days=-300)
TSA = issue("TSA", ROOT, usage=TIME_STAMPING, starts=LONG)
OTHER = issue("Other", ROOT, usage=TIME_STAMPING, starts=LONG)
FOR_WEB = issue("Web", ROOT, ca=True, usage=(ExtendedKeyUsageOID.SERVER_AUTH,), starts=LONG)
NO_SIGNER = issue("Idle", ROOT, ca=True, certifies=False, starts=LONG)
SUB = issue("Between", ROOT, ca=True, usage=TIME_STAMPING, starts=LONG)
BELOW = issue("TSA below", SUB, usage=TIME_STAMPING, starts=LONG)
INFO = tst_info(b"x")
ESS = len(attributes(INFO, TSA)) - 1


def verify(data: bytes, trusted: Sequence[Issued] = (ROOT,)) -> str:
    return verify_token(read_response(response(data)), [one.certificate for one in trusted])


def refused(data: bytes, trusted: Sequence[Issued] = (ROOT,)) -> str:
    with pytest.raises(TimestampError) as error:
        verify(data, trusted)
    return str(error.value)


def test_a_token_of_a_trusted_authority_is_good() -> None:
    assert verify(token(INFO, TSA)) == "CN=TSA"
    assert verify(token(INFO, BELOW, certificates=[SUB, BELOW])) == "CN=TSA below"
    assert verify(token(INFO, BELOW), [ROOT, SUB]) == "CN=TSA below", "the caller may bring what is between"
    assert verify(token(INFO, TSA, certificates=[]), [ROOT, TSA]) == "CN=TSA", "and the TSA's own, beside the root"
    identifier = x509.SubjectKeyIdentifier.from_public_key(OTHER.key.public_key())
    told = (
        x509.CertificateBuilder()
        .subject_name(OTHER.certificate.subject)
        .issuer_name(ROOT.certificate.subject)
        .public_key(OTHER.key.public_key())
        .serial_number(5)
        .not_valid_before(OTHER.certificate.not_valid_before_utc)
        .not_valid_after(OTHER.certificate.not_valid_after_utc)
        .add_extension(x509.ExtendedKeyUsage(TIME_STAMPING), critical=True)
        .add_extension(identifier, critical=False)
        .sign(ROOT.key, hashes.SHA256())
    )
    by_key = Issued(certificate=told, key=OTHER.key)
    assert verify(token(INFO, by_key, key_id=identifier.digest)) == "CN=Other"


def changed(number: int, value: bytes | None) -> list[bytes]:
    """The signed attributes with another one in a place, or without it."""
    held = attributes(INFO, TSA)
    return [*held[:number], *([] if value is None else [value]), *held[number + 1 :]]


def ess(digest: bytes, *more: bytes, name: str = SIGNING_CERTIFICATE_V2) -> bytes:
    return attribute(
        name, encode(SEQUENCE, encode(SEQUENCE, encode(SEQUENCE, *more[:-1], encode(OCTET_STRING, digest), *more[-1:])))
    )


def issuer_serial(name: x509.Name, serial: int) -> bytes:
    general = encode(context(4), name.public_bytes())
    return encode(SEQUENCE, encode(SEQUENCE, general), encode_integer(serial))


@pytest.mark.parametrize(
    ("signed", "says"),
    [
        (changed(0, None), f"the token lacks the signed attribute {CONTENT_TYPE}"),
        (changed(1, None), f"the token lacks the signed attribute {MESSAGE_DIGEST}"),
        (changed(ESS, None), "the token does not say which certificate signed it (ESSCertID)"),
        (
            changed(0, attribute(CONTENT_TYPE, encode_oid("1.2.3"))),
            "the signed content type is not that of a timestamp",
        ),
        (
            changed(1, attribute(MESSAGE_DIGEST, encode(OCTET_STRING, bytes(32)))),
            "the signed digest is of another timestamp",
        ),
        (changed(1, attribute(MESSAGE_DIGEST, encode_integer(1))), "the token is malformed: the message digest has"),
        (changed(ESS, names(OTHER)), "the token names another certificate than the one that signed it"),
        (changed(ESS, ess(sha1(certificate_of(TSA)).digest())), "the token names another certificate"),
        (
            changed(ESS, names(TSA, more=issuer_serial(ROOT.certificate.subject, 1))),
            "the token names another issuer than that of its certificate",
        ),
        (
            changed(ESS, names(TSA, more=issuer_serial(TSA.certificate.subject, TSA.certificate.serial_number))),
            "the token names another issuer than that of its certificate",
        ),
        (
            changed(ESS, ess(b"x", encode(SEQUENCE, encode_oid("1.3.14.3.2.26")), b"")),
            "the token uses the hash 1.3.14.3.2.26, expected SHA-256, SHA-384 or SHA-512",
        ),
        (
            [*attributes(INFO, TSA), ess(bytes(20), name=SIGNING_CERTIFICATE)],
            "the token names another certificate than the one that signed it",
        ),
    ],
)
def test_what_the_signature_covers_has_to_fit(signed: list[bytes], says: str) -> None:
    assert says in refused(token(INFO, TSA, signed=signed))


def test_the_certificate_may_be_named_by_its_sha_1_and_by_its_issuer_too() -> None:
    old = ess(sha1(certificate_of(TSA)).digest(), name=SIGNING_CERTIFICATE)
    assert verify(token(INFO, TSA, signed=changed(ESS, old))) == "CN=TSA"
    both = names(TSA, more=issuer_serial(ROOT.certificate.subject, TSA.certificate.serial_number))
    assert verify(token(INFO, TSA, signed=changed(ESS, both))) == "CN=TSA"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: token(INFO, TSA, by=OTHER), "the TSA's signature does not hold"),
        (lambda: token(INFO, TSA).replace(INFO, tst_info(b"x", nonce=8)), "the signed digest is of another"),
        (lambda: token(INFO, TSA, certificates=[OTHER]), "the certificate that signed the token is not in it"),
        (lambda: token(INFO, TSA, key_id=b"x"), "the certificate that signed the token is not in it"),
        (lambda: token(INFO, TSA, digest="1.3.14.3.2.26"), "the token uses the hash 1.3.14.3.2.26"),
        (
            lambda: token(INFO, TSA, signing="1.2.840.113549.1.1.11"),
            "is signed with 1.2.840.113549.1.1.11, which is not known here or not of its key",
        ),
    ],
)
def test_a_signature_that_does_not_hold_is_refused(make: Callable[[], bytes], says: str) -> None:
    assert says in refused(make())


def late() -> dict[str, Any]:
    return {"usage": TIME_STAMPING, "starts": LONG}


LEADS_NOWHERE = "the TSA's certificate does not lead to a trusted one: "


@pytest.mark.parametrize(
    ("signer", "between", "says"),
    [
        (issue("T", usage=TIME_STAMPING, starts=LONG), [], "none that is trusted issued it"),
        (issue("T", issue("Root", ca=True), usage=TIME_STAMPING, starts=LONG), [], "signature does not match"),
        (issue("T", ROOT, starts=LONG), [], "extension"),
        (issue("T", ROOT, usage=TIME_STAMPING, critical=False, starts=LONG), [], "criticality"),
        (issue("T", ROOT, usage=(ExtendedKeyUsageOID.SERVER_AUTH,), starts=LONG), [], "it is not for timestamps alone"),
        (
            issue("T", ROOT, usage=(*TIME_STAMPING, ExtendedKeyUsageOID.SERVER_AUTH), starts=LONG),
            [],
            "it is not for timestamps alone (extended key usage timeStamping)",
        ),
        (issue("T", ROOT, signs=False, **late()), [], "it may not sign (key usage)"),
        (issue("T", ROOT, usage=TIME_STAMPING, starts=timedelta(days=400)), [], "cert is not valid at validation time"),
        (issue("T", ROOT, ends=timedelta(days=-100), **late()), [], "cert is not valid at validation time"),
        (issue("T", OTHER, **late()), [OTHER], "basicConstraints.cA must be asserted in a CA certificate"),
        (issue("T", NO_SIGNER, **late()), [NO_SIGNER], "an authority in between may not sign certificates (key usage)"),
        (issue("T", FOR_WEB, **late()), [FOR_WEB], "an authority in between is not for timestamps"),
    ],
)
def test_a_certificate_that_is_not_good_for_it_is_refused(signer: Issued, between: list[Issued], says: str) -> None:
    text = refused(token(INFO, signer, certificates=[signer, *between]))
    assert text.startswith(LEADS_NOWHERE)
    assert says in text


def test_a_chain_is_not_longer_than_it_may_be() -> None:
    chain = [issue("C0", ROOT, ca=True, starts=LONG)]
    for number in range(1, 6):
        chain.append(issue(f"C{number}", chain[-1], ca=True, starts=LONG))
    signer = issue("T", chain[-1], **late())
    assert LEADS_NOWHERE in refused(token(INFO, signer, certificates=[signer, *chain]))


def test_a_certificate_that_expired_since_is_good_for_what_it_signed_before() -> None:
    root = issue("Old", ca=True, starts=timedelta(days=-900), ends=timedelta(days=-1))
    signer = issue("T", root, usage=TIME_STAMPING, starts=timedelta(days=-900), ends=timedelta(days=-100))
    info = tst_info(
        b"x", at=(signer.certificate.not_valid_after_utc - timedelta(days=1)).strftime("%Y%m%d%H%M%SZ").encode()
    )
    assert verify(token(info, signer), [root]) == "CN=T"


def test_a_certificate_with_a_critical_extension_that_nobody_knows_is_refused() -> None:
    certificate = TSA.certificate
    strange = (
        x509.CertificateBuilder()
        .subject_name(certificate.subject)
        .issuer_name(ROOT.certificate.subject)
        .public_key(TSA.key.public_key())
        .serial_number(6)
        .not_valid_before(certificate.not_valid_before_utc)
        .not_valid_after(certificate.not_valid_after_utc)
        .add_extension(x509.ExtendedKeyUsage(TIME_STAMPING), critical=True)
        .add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"x"), critical=True)
        .sign(ROOT.key, hashes.SHA256())
    )
    assert LEADS_NOWHERE in refused(token(INFO, Issued(certificate=strange, key=TSA.key)))


def test_a_file_of_certificates_holds_some() -> None:
    assert read_authorities(ROOT.pem + SUB.pem) == [ROOT.certificate, SUB.certificate]
    for data in (b"", b"\xff", certificate_of(ROOT), ROOT.pem.replace(b"A", b"", 1)):
        with pytest.raises(TimestampError, match="no certificate in PEM, which begins with -----BEGIN"):
            read_authorities(data)


def test_a_short_key_or_a_broken_certificate_is_refused_in_words() -> None:
    small = issue("T", ROOT, key=ec.generate_private_key(ec.SECP192R1()), **late())
    assert refused(token(INFO, small)) == "the TSA's key has 192 bits, too few"
    weak = issue("T", ROOT, key=rsa.generate_private_key(65_537, 1_024), **late())
    by_weak = token(INFO, weak, by=TSA, signing="1.2.840.113549.1.1.11")
    assert refused(by_weak) == "the TSA's key has 1024 bits, too few"
    data, inner = token(INFO, TSA), certificate_of(TSA)
    assert sha256(inner).digest() in data
    broken = data.replace(inner, inner[:8] + b"\x01" + inner[9:])
    assert broken != data
    assert refused(broken) == "the token holds a malformed certificate"
