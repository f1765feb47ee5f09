"""Digests of any number: told again in order, and what came twice is found, as a dictionary in memory would."""

import tempfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import audit.digests
from audit.digests import Digests, Memory, digest_key
from audit.parts import Scratch

entries = st.lists(st.sets(st.text(st.sampled_from("abc"), max_size=3), max_size=4), max_size=40)


@pytest.mark.parametrize("scratch", [Memory, tempfile.TemporaryFile], ids=["memory", "file"])
@pytest.mark.parametrize("run", [1, 3, 16_384])
@given(entries)
def test_it_says_what_a_dictionary_would(scratch: Callable[[], Scratch], run: int, log: list[set[str]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit.digests, "RUN", run)
        files = [scratch(), scratch()]
        found = Digests(iter(files).__next__)
        first: dict[str, int] = {}
        repeated: list[tuple[int, int]] = []
        for position, digests in enumerate(log, start=5):
            found.add(position, sorted(digests))
            repeated += [(position, first[digest]) for digest in digests if digest in first]
            first |= {digest: position for digest in digests if digest not in first}
        assert found.first_repeated() == min(repeated, default=None)
        expected = [(at, {*map(digest_key, digests)}) for at, digests in enumerate(log, start=5) if digests]
        assert list(found.by_entry()) == expected
        for file in files:
            if not isinstance(file, Memory):
                file.close()  # type: ignore[attr-defined]  # a file, as the tests have it
