"""The index: one hash for how much every company and room has, and one leaf of it for whoever it concerns."""

import json
from base64 import b64encode
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.canonical import canonical_json
from audit.index import LEAST_LEAVES, Index, Scope, index_data, leaf_data, scopes_of
from audit.tree import ProofError, leaf_hash, verify_inclusion
from tests.rfc9162 import split

SEED, OTHER = bytes(range(32)), bytes(32)
A, B = Scope("company", "northwind"), Scope("room", "!a:hub.example")
scopes = st.builds(Scope, st.sampled_from(["company", "room"]), st.text("abc", min_size=1, max_size=6))
tallies = st.dictionaries(scopes, st.integers(0, 2**53 - 1), min_size=1, max_size=300)


def root_of(leaves: list[bytes]) -> bytes:
    """MTH over leaf hashes (RFC 9162, section 2.1.1), the slow way."""
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return sha256(b"\x01" + root_of(leaves[:k]) + root_of(leaves[k:])).digest()


@given(tallies)
def test_every_leaf_leads_to_the_root_and_says_its_count(counts: dict[Scope, int]) -> None:
    index = Index(counts, SEED)
    for scope, count in counts.items():
        shown = index.prove(scope)
        verify_inclusion(leaf_hash(shown.leaf), shown.position, index.size, shown.proof, index.root)
        said = json.loads(shown.leaf)
        assert (said["scope"], said["id"], said["count"]) == (scope.kind, scope.id, count)


@given(
    scopes | st.builds(Scope, st.just("room"), st.text(min_size=1)), st.integers(0, 2**53 - 1), st.binary(max_size=20)
)
def test_a_leaf_is_canonical_json(scope: Scope, count: int, salt: bytes) -> None:
    said = {"scope": scope.kind, "id": scope.id, "count": count, "salt": b64encode(salt).decode()}
    assert leaf_data(scope, count, salt) == canonical_json(said)


def test_the_root_is_that_of_the_sorted_leaves() -> None:
    index = Index({A: 1, B: 2}, SEED)
    leaves = [index.subtree(0, at) for at in range(index.size)]
    assert leaves == sorted(leaves)
    assert index.root == root_of(leaves)


@pytest.mark.parametrize(("scopes", "leaves"), [(0, 256), (1, 256), (256, 256), (257, 1_024), (1_025, 4_096)])
def test_how_many_there_are_is_rounded_up(scopes: int, leaves: int) -> None:
    assert Index({Scope("room", str(at)): 1 for at in range(scopes)}, SEED).size == leaves
    assert LEAST_LEAVES == 256


def test_a_leaf_cannot_be_guessed_without_the_seed() -> None:
    mine, theirs = Index({A: 1, B: 2}, SEED), Index({A: 1, B: 2}, OTHER)
    assert mine.root != theirs.root
    assert not {mine.subtree(0, at) for at in range(256)} & {theirs.subtree(0, at) for at in range(256)}
    assert len(json.loads(mine.prove(A).leaf)["salt"]) == 24


def test_the_order_of_counting_means_nothing() -> None:
    assert Index({A: 1, B: 2}, SEED).root == Index({B: 2, A: 1}, SEED).root
    assert index_data(Index({A: 1}, SEED)) != index_data(Index({A: 2}, SEED))


def test_another_count_is_not_in_the_index() -> None:
    index, lie = Index({A: 1, B: 2}, SEED), Index({A: 2, B: 2}, SEED).prove(A)
    with pytest.raises(ProofError):
        verify_inclusion(leaf_hash(lie.leaf), lie.position, index.size, lie.proof, index.root)


def test_what_is_in_no_room_belongs_to_no_trail() -> None:
    assert scopes_of({"companies": ["northwind"]}) == []
    assert scopes_of({"room": "!a:hub.example", "companies": ["northwind"]}) == [B, A]
    assert A.holds({"room": "!x", "companies": ["northwind"]})
    assert not A.holds({"room": "!x", "companies": ["fabrikam"]})


@pytest.mark.parametrize("text", ["all", "company:", ":x", "person:x", ""])
def test_a_scope_is_a_company_or_a_room(text: str) -> None:
    assert Scope.parse(text) is None
    assert Scope.parse(str(B)) == B
