"""An independent implementation of RFC 9162's tree, `pymerkle`, gives the same roots and takes and gives proofs.

It counts leaves from one, puts the leaf in front of an inclusion path, and cuts a consistency path into other subtrees
than the RFC does, so that of those only the verdicts can be compared.
"""

import pytest
from pymerkle import InmemoryTree, InvalidProof, verify_consistency, verify_inclusion

from audit.tiles import Edge, TileHashes
from audit.tree import ProofError, consistency_proof, inclusion_proof, leaf_hash
from audit.tree import verify_consistency as our_verify_consistency
from audit.tree import verify_inclusion as our_verify_inclusion

SIZES = (1, 2, 3, 5, 8, 255, 256, 257, 300)


def entry(index: int) -> bytes:
    return f"entry {index}".encode()


@pytest.fixture(scope="module")
def theirs() -> InmemoryTree:
    tree = InmemoryTree(algorithm="sha256")
    tree.append_entries([entry(index) for index in range(max(SIZES))])
    return tree


@pytest.fixture(scope="module")
def ours() -> TileHashes:
    _, tiles = Edge().append([leaf_hash(entry(index)) for index in range(max(SIZES))])
    return TileHashes(lambda level, index: tiles[level, index])


def our_root(size: int) -> bytes:
    edge, _ = Edge().append([leaf_hash(entry(index)) for index in range(size)])
    return edge.frontier.root()


@pytest.mark.parametrize("size", [0, *SIZES])
def test_roots_agree(theirs: InmemoryTree, size: int) -> None:
    assert theirs.get_root(size) == our_root(size)


@pytest.mark.parametrize("size", SIZES)
def test_inclusion_proofs_agree(theirs: InmemoryTree, ours: TileHashes, size: int) -> None:
    root = our_root(size)
    for index in {0, size // 2, size - 1}:
        proof = theirs.prove_inclusion(index + 1, size)
        assert proof.path == [leaf_hash(entry(index)), *inclusion_proof(index, size, ours)]
        verify_inclusion(leaf_hash(entry(index)), root, proof, index=index + 1, size=size)
        our_verify_inclusion(leaf_hash(entry(index)), index, size, proof.path[1:], theirs.get_root(size))


@pytest.mark.parametrize("size", SIZES)
def test_both_refuse_an_inclusion_proof_of_another_leaf(theirs: InmemoryTree, size: int) -> None:
    leaf, proof = leaf_hash(b"other"), theirs.prove_inclusion(size, size)
    with pytest.raises(InvalidProof):
        verify_inclusion(leaf, our_root(size), proof)
    with pytest.raises(ProofError):
        our_verify_inclusion(leaf, size - 1, size, proof.path[1:], our_root(size))


@pytest.mark.parametrize("second", SIZES)
def test_consistency_proofs_show_the_same_trees(theirs: InmemoryTree, ours: TileHashes, second: int) -> None:
    for first in {1, second // 2, second - 1, second} - {0}:
        roots = our_root(first), our_root(second)
        verify_consistency(*roots, theirs.prove_consistency(first, second), prior_size=first, later_size=second)
        their_roots = theirs.get_root(first), theirs.get_root(second)
        our_verify_consistency(first, second, consistency_proof(first, second, ours), *their_roots)


@pytest.mark.parametrize("second", SIZES[1:])
def test_both_refuse_a_consistency_proof_of_another_tree(theirs: InmemoryTree, ours: TileHashes, second: int) -> None:
    roots = leaf_hash(b"other"), our_root(second)
    with pytest.raises(InvalidProof):
        verify_consistency(*roots, theirs.prove_consistency(1, second))
    with pytest.raises(ProofError):
        our_verify_consistency(1, second, consistency_proof(1, second, ours), *roots)
