"""Keys and statements about them, as the tests make and forge them."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from audit.keys import SigningKey
from audit.note import VerifierKey, sign_line
from audit.succession import KeyStatement
from tests.ledger import signing_key

ORIGIN = "log.example/hub"
AT = 1_800_000_000
DAY_S = 86_400


def pq_key(name: str = ORIGIN, seed: int = 1) -> SigningKey:
    """The ML-DSA-44 key of ``name`` that is the same in every run."""
    return SigningKey(name=name, private=MLDSA44PrivateKey.from_seed_bytes(bytes([seed]) * 32))


OLD, NEW, NEWER = (signing_key(ORIGIN, seed) for seed in (1, 11, 12))
ROOT, OTHER_ROOT = signing_key(f"{ORIGIN}/root", 13), signing_key(f"{ORIGIN}/root", 14)
PQ_OLD, PQ_NEW = pq_key(seed=1), pq_key(seed=2)


def publics(*keys: SigningKey) -> tuple[VerifierKey, ...]:
    return tuple(key.public for key in keys)


def signed(statement: KeyStatement, *signers: SigningKey) -> bytes:
    """The statement with the signatures of ``signers``, whoever they are."""
    text = statement.text()
    return f"{text}\n{''.join(sign_line(text, key.public, key) for key in signers)}".encode()


def rotation(**changes: Any) -> KeyStatement:
    """From ``OLD`` to ``NEW``, thirty days of overlap; with ``changes``."""
    members: dict[str, Any] = {
        "act": "rotate",
        "origin": ORIGIN,
        "number": 1,
        "at": AT,
        "old": publics(OLD),
        "new": publics(NEW),
        "root": ROOT.public,
        "until": AT + 30 * DAY_S,
    }
    return KeyStatement(**{**members, **changes})


ROTATED = signed(rotation(), OLD, NEW, ROOT)
RECOVERED = signed(rotation(act="recover", until=0), NEW, ROOT)
