"""The proof vectors of the transparency-dev/merkle project: what a verifier must accept, and what it must not.

They are not part of this repository: ``CONCLAVE_VECTORS`` names the folder that holds ``merkle/**/*.json``.
"""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from audit.tree import ProofError, verify_consistency, verify_inclusion

VARIABLE = "CONCLAVE_VECTORS"
LEAST = 150

pytestmark = pytest.mark.skipif(VARIABLE not in os.environ, reason=f"{VARIABLE} does not name a folder of vectors")


def vectors() -> dict[str, dict[str, Any]]:
    folder = Path(os.environ.get(VARIABLE, "")) / "merkle"
    return {path.relative_to(folder).as_posix(): json.loads(path.read_bytes()) for path in folder.rglob("*.json")}


def test_there_are_vectors_of_both_kinds_and_both_outcomes() -> None:
    found = vectors()
    assert len(found) >= LEAST
    kinds = {(name.split("/")[0], vector["wantErr"]) for name, vector in found.items()}
    assert kinds == {("inclusion", True), ("inclusion", False), ("consistency", True), ("consistency", False)}


def test_the_verifier_agrees_with_every_vector() -> None:
    disagreed = {name: vector["desc"] for name, vector in vectors().items() if is_refused(vector) != vector["wantErr"]}
    assert disagreed == {}


def is_refused(vector: dict[str, Any]) -> bool:
    proof = [decoded(item) for item in vector["proof"] or ()]
    try:
        if "leafHash" in vector:
            leaf, root = decoded(vector["leafHash"]), decoded(vector["root"])
            verify_inclusion(leaf, vector["leafIdx"], vector["treeSize"], proof, root)
        else:
            roots = decoded(vector["root1"]), decoded(vector["root2"])
            verify_consistency(vector["size1"], vector["size2"], proof, *roots)
    except ProofError:
        return True
    return False


def decoded(text: str | None) -> bytes:
    return base64.b64decode(text or "", validate=True)
