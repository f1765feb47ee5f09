"""A timestamp authority: OpenSSL's, with certificates that the tests make, behind HTTP."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from audit.tsp import MEDIA_REPLY, MEDIA_REQUEST, TimestampRequest, Token, read_response

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not on the PATH")

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
POLICY = "1.3.6.1.4.1.99999.1"
OTHER_POLICY = "1.3.6.1.4.1.99999.2"
TIME_STAMPING = (ExtendedKeyUsageOID.TIME_STAMPING,)
DAY = timedelta(days=1)

CONFIG = """
[tsa]
default_tsa = here
[here]
serial = {place}/serial
default_policy = {policy}
other_policies = {other}
digests = sha256, sha512
accuracy = secs:1, millisecs:500, microsecs:100
clock_precision_digits = 3
ordering = {ordering}
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = {ess}
signer_digest = {digest}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def issue(
    name: str,
    issuer: Issued | None = None,
    *,
    usage: Sequence[x509.ObjectIdentifier] = (),
    critical: bool = True,
    ca: bool = False,
    key: Key | None = None,
    starts: timedelta = -DAY,
    ends: timedelta = 3_650 * DAY,
    signs: bool = True,
    certifies: bool = True,
) -> Issued:
    """A certificate of ``name``, by ``issuer`` or itself."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    by = issuer.certificate.subject if issuer else subject
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=by, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts)
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(_key_usage(signs and not ca, ca and certifies), critical=True)
    )
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=critical)
    signer = issuer.key if issuer else key
    return Issued(certificate=builder.sign(signer, hashes.SHA256()), key=key)


def _key_usage(signs: bool, certifies: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=False,
        key_encipherment=not signs and not certifies,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certifies,
        crl_sign=certifies,
        encipher_only=False,
        decipher_only=False,
    )


class Authority:
    """A TSA with its certificates in ``place``; ``between`` are the authorities that its answers bring along."""

    def __init__(
        self,
        place: Path,
        root: Issued,
        signer: Issued,
        between: Sequence[Issued] = (),
        *,
        ess: str = "sha256",
        digest: str = "sha256",
        ordering: str = "no",
    ) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self.place, self.root, self.signer = place, root, signer
        self.ca_file = place / "root.pem"
        self.ca_file.write_bytes(root.pem)
        (place / "signer.pem").write_bytes(signer.pem)
        (place / "signer.key").write_bytes(signer.key_pem)
        (place / "chain.pem").write_bytes(b"".join(one.pem for one in between))
        (place / "serial").write_text("01\n")
        text = CONFIG.format(place=place, policy=POLICY, other=OTHER_POLICY, ess=ess, digest=digest, ordering=ordering)
        (place / "tsa.cnf").write_text(text)
        self._chain = ["-chain", str(place / "chain.pem")] if between else []

    def reply(self, query: bytes) -> bytes:
        """What OpenSSL answers to a TimeStampReq."""
        (self.place / "query").write_bytes(query)
        command = ["openssl", "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "reply"]
        command += ["-signer", "signer.pem", "-inkey", "signer.key", *self._chain]
        run = subprocess.run(command, cwd=self.place, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        return (self.place / "reply").read_bytes()

    def token(self, request: TimestampRequest) -> Token:
        return read_response(self.reply(request.encode()))


def authority(place: Path) -> Authority:
    """A TSA as they are: a root, and a certificate of it that is for timestamps."""
    root = issue("Root", ca=True)
    return Authority(place, root, issue("TSA", root, usage=TIME_STAMPING))


Answer = Callable[[bytes], Awaitable[web.StreamResponse]]


class Served:
    """A TSA behind HTTP; ``answer`` may be put in the place of what it does, ``queries`` are those that came."""

    def __init__(self, tsa: Authority) -> None:
        self.tsa = tsa
        self.url = ""
        self.queries: list[bytes] = []
        self.answer: Answer = self.honest

    async def honest(self, query: bytes) -> web.StreamResponse:
        return web.Response(body=await asyncio.to_thread(self.tsa.reply, query), content_type=MEDIA_REPLY)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        assert request.content_type == MEDIA_REQUEST
        self.queries.append(await request.read())
        return await self.answer(self.queries[-1])


@asynccontextmanager
async def serving(tsa: Authority) -> AsyncIterator[Served]:
    served, app = Served(tsa), web.Application()

    async def handle(request: web.Request) -> web.StreamResponse:
        response = await served.handle(request)
        if isinstance(response, web.Response):
            return response
        await response.prepare(request)
        return response

    app.router.add_post("/tsa", handle)
    async with TestServer(app) as server:
        served.url = str(server.make_url("/tsa"))
        yield served
