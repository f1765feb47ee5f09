"""ML-DSA-44 (FIPS 204) by ``cryptography``, where it has it; an auditor's may be older than ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

try:
    from cryptography.hazmat.primitives.asymmetric import mldsa
except ImportError:
    mldsa = None  # type: ignore[assignment]  # there is no such module in an older one


class MlDsaUnavailableError(Exception):
    """This machine's ``cryptography`` has no ML-DSA-44."""

    def __init__(self) -> None:
        super().__init__(
            "the Python package cryptography on this machine has no ML-DSA-44: such keys can be neither made nor"
            " checked here; install a newer one (50 has it)"
        )


def generate_ml_dsa() -> "MLDSA44PrivateKey":
    """A new private key.

    Raises:
        MlDsaUnavailableError: There is no ML-DSA-44 here.
    """
    with _available():
        return mldsa.MLDSA44PrivateKey.generate()


def ml_dsa_from_seed(seed: bytes) -> "MLDSA44PrivateKey":
    """The private key of a seed of 32 bytes (FIPS 204, algorithm 6).

    Raises:
        ValueError: It has another size.
        MlDsaUnavailableError: There is no ML-DSA-44 here.
    """
    with _available():
        return mldsa.MLDSA44PrivateKey.from_seed_bytes(seed)


def verify_ml_dsa(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether ``signature`` is that of ``public_key`` over ``message``, with the empty context.

    Raises:
        MlDsaUnavailableError: There is no ML-DSA-44 here.
    """
    with _available():
        try:
            mldsa.MLDSA44PublicKey.from_public_bytes(public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@contextmanager
def _available() -> Iterator[None]:
    if mldsa is None:
        raise MlDsaUnavailableError
    try:
        yield
    except UnsupportedAlgorithm:
        raise MlDsaUnavailableError from None
