"""Entries: what may be put in, what is committed to, and disclosures that fit only their digest."""

import base64
import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.canonical import CanonicalError, canonical_json
from audit.entry import (
    Disclosure,
    Draft,
    EntryError,
    Place,
    actor_key,
    draft_body,
    parse_entry,
    person_actor,
    read_draft,
    seal_entry,
    system_actor,
    user_actor,
)

PLACE = Place(at=1_800_000_000_000, source="api", source_seq=7, actor_seq=3, room_seq=None)
BARE = Draft(kind="hub.stopped", actor=system_actor("hub"))
ENTRY: dict[str, Any] = {
    "v": 1,
    "kind": "hub.stopped",
    "at": 1_800_000_000_000,
    "source": "api",
    "source_seq": 7,
    "actor": {"system": "hub"},
    "actor_seq": 3,
    "data": {},
}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def sealed(body: Mapping[str, Any], place: Place) -> bytes:
    """The entry for ``body`` at ``place``."""
    return seal_entry(read_draft(canonical_json(body).decode()), place)


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize(
    ("kind", "data", "says"),
    [
        ("hub.exploded", {}, "'hub.exploded' is not a kind of entry"),
        ("", {}, "'' is not a kind of entry"),
        ("hub.stopped", {"why": "x"}, "hub.stopped has no member why in its data"),
        ("hub.started", {"b": 1, "software": "x", "a": 2}, "hub.started has no member a, b in its data"),
    ],
)
def test_a_draft_of_no_known_form_is_refused(kind: str, data: dict[str, Any], says: str) -> None:
    with pytest.raises(EntryError, match=f"^{says}$"):
        Draft(kind=kind, actor=system_actor("hub"), data=data)


def test_what_is_absent_is_left_out() -> None:
    assert json.loads(sealed(draft_body(BARE, []), PLACE)) == ENTRY


def test_what_is_there_is_sealed_in_order_and_read_back() -> None:
    draft = Draft(
        kind="member.joined",
        actor=user_actor("@bob:hub.example"),
        data={"event_id": "$1", "type": "m.room.member", "ts": 5, "subject": "@bob:hub.example", "before": None},
        room="!r:hub.example",
        engagement="eng_1",
        companies=["cmp_b", "cmp_a", "cmp_b"],
    )
    place = Place(at=5, source="homeserver", source_seq=1, actor_seq=1, room_seq=2)
    data = sealed(draft_body(draft, ["z", "a"]), place)
    entry = parse_entry(data)
    assert data == canonical_json(entry)
    assert entry["companies"] == ["cmp_a", "cmp_b"]
    assert entry["sd"] == ["a", "z"]
    assert (entry["room"], entry["room_seq"], entry["engagement"]) == ("!r:hub.example", 2, "eng_1")


awkward = st.sampled_from(['"},', '"v":1}', '","sd":["', "\\"])
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | awkward
numbers = st.integers(0, 2**53 - 1)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('av"}\\,', max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(
    body=st.fixed_dictionaries(
        {
            "v": st.just(1),
            "kind": st.just("hub.stopped"),
            "actor": st.dictionaries(st.sampled_from(["person", "user", "system"]), names, min_size=1, max_size=1),
            "data": st.dictionaries(st.sampled_from(["kind", "room", "sd", "v", "x"]), json_values, max_size=3),
        },
        optional={
            "room": names,
            "engagement": names,
            "salt": st.text("abAB09-_", max_size=5),
            "companies": st.lists(names, max_size=3).map(sorted),
            "commit": st.dictionaries(st.sampled_from(["hmac", "blob"]), names),
            "sd": st.lists(st.text("abAB09-_", max_size=5), min_size=1, max_size=3),
        },
    ),
    numbers=st.lists(numbers, min_size=4, max_size=4),
    source=names,
)
def test_numbers_put_into_the_text_are_numbers_written_with_it(
    body: dict[str, Any], numbers: list[int], source: str
) -> None:
    at, source_seq, actor_seq, room_seq = numbers
    place = {"at": at, "source": source, "source_seq": source_seq, "actor_seq": actor_seq}
    if "room" in body:
        place["room_seq"] = room_seq
    data = sealed(body, Place(**{"room_seq": None, **place}))  # type: ignore[arg-type]  # as they are
    assert data == canonical_json({**body, **place})


@pytest.mark.parametrize("text", ['{"v":1,"kind":"a","actor":{"user":"b"}}', '{"actor":{"user":"b"},"kind":"a","v":2}'])
def test_a_draft_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(EntryError, match=r"is not in its canonical form$"):
        read_draft(text)


def test_an_entry_of_65535_bytes_is_the_largest() -> None:
    spare = 65_535 - len(sealed({**draft_body(BARE, []), "engagement": ""}, PLACE))
    body = {**draft_body(BARE, []), "engagement": "x" * spare}
    assert len(sealed(body, PLACE)) == 65_535
    with pytest.raises(EntryError, match="an entry has at most 65535 bytes, not 65536"):
        sealed({**body, "engagement": "x" * (spare + 1)}, PLACE)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"v": 2}, "version 2, expected 1"),
        ({"v": True}, r"members of another form: \['v'\]"),
        ({"kind": "hub.exploded"}, "unknown kind 'hub.exploded'"),
        ({"kind": ["hub.stopped"]}, r"members of another form: \['kind'\]"),
        ({"at": "now"}, r"members of another form: \['at'\]"),
        ({"at": None}, r"members of another form: \['at'\]"),
        ({"source": 1, "source_seq": "1"}, r"members of another form: \['source', 'source_seq'\]"),
        ({"actor_seq": True}, r"members of another form: \['actor_seq'\]"),
        ({"actor": "hub"}, r"members of another form: \['actor'\]"),
        ({"actor": {}}, r"members of another form: \['actor'\]"),
        ({"actor": {"person": "a", "user": "b"}}, r"members of another form: \['actor'\]"),
        ({"actor": {"person": 1}}, r"members of another form: \['actor'\]"),
        ({"data": []}, r"members of another form: \['data'\]"),
        ({"sd": "digest"}, r"members of another form: \['sd'\]"),
        ({"sd": [["digest"]]}, r"members of another form: \['sd'\]"),
        ({"sd": ["a", "a"]}, r"members of another form: \['sd'\]"),
        ({"companies": ["b", "a"]}, r"members of another form: \['companies'\]"),
        ({"room": 5, "room_seq": 1}, r"members of another form: \['room'\]"),
        ({"commit": "x"}, r"members of another form: \['commit'\]"),
        ({"engagement": None}, r"members of another form: \['engagement'\]"),
        ({"extra": 1}, r"members missing: \[\], not known: \['extra'\]"),
        ({"room": "!r"}, "room and room_seq belong together"),
        ({"room_seq": 1}, "room and room_seq belong together"),
    ],
)
def test_what_is_no_entry_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(EntryError, match=f"^{says}$"):
        parse_entry(canonical_json(ENTRY | change))


@pytest.mark.parametrize("name", sorted(ENTRY))
def test_an_entry_that_lacks_a_member_is_refused(name: str) -> None:
    with pytest.raises(EntryError, match=rf"^members missing: \['{name}'\], not known: \[\]$"):
        parse_entry(canonical_json({key: value for key, value in ENTRY.items() if key != name}))


@given(
    st.dictionaries(
        st.sampled_from([*ENTRY, "sd", "companies", "room", "room_seq", "commit"]),
        st.sampled_from([None, True, -1, "", "hub.stopped", [], [[]], [{}], {}, {"a": []}]),
    )
)
def test_no_form_of_a_member_is_more_than_an_error(change: dict[str, Any]) -> None:
    try:
        entry = parse_entry(canonical_json(ENTRY | change))
    except EntryError:
        return
    assert actor_key(entry["actor"])


def test_an_entry_in_another_form_than_the_canonical_is_refused() -> None:
    with pytest.raises(CanonicalError, match="not in canonical form"):
        parse_entry(json.dumps(ENTRY).encode())


def test_actors_have_different_names_where_they_are_different() -> None:
    actors = [person_actor("a"), user_actor("a"), system_actor("a"), system_actor("b")]
    assert [actor_key(actor) for actor in actors] == ["person:a", "user:a", "system:a", "system:b"]


@given(st.binary(min_size=1, max_size=32), texts, texts)
def test_a_disclosure_is_read_back_and_its_digest_is_that_of_its_text(salt: bytes, name: str, value: str) -> None:
    disclosure = Disclosure(salt=salt, name=name, value=value)
    text = disclosure.encode()
    assert Disclosure.decode(text) == disclosure
    assert disclosure.digest() == b64url(sha256(text.encode("ascii")).digest())
    assert json.loads(base64.urlsafe_b64decode(text + "==")) == [b64url(salt), name, value]


RFC9901_SALT = "_26bc4LT-ac6q2KI6cBW5es"
RFC9901_SPACED = "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0"
RFC9901_COMPACT = "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsImZhbWlseV9uYW1lIiwiTcO2Yml1cyJd"


def test_a_disclosure_is_that_of_rfc9901_without_white_space() -> None:
    """RFC 9901, section 4.2.1, which gives this form among the valid ones of its first example."""
    disclosure = Disclosure(salt=base64.urlsafe_b64decode(RFC9901_SALT + "="), name="family_name", value="Möbius")
    assert disclosure.encode() == RFC9901_COMPACT
    assert Disclosure.decode(RFC9901_COMPACT) == disclosure


def test_the_digest_is_computed_as_rfc9901_does() -> None:
    """RFC 9901, section 4.2.3, gives the digest of its own, spaced form: the same function over another text."""

    class Spaced(Disclosure):
        def encode(self) -> str:
            return RFC9901_SPACED

    assert Spaced(salt=b"", name="", value="").digest() == "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (RFC9901_SPACED, "the disclosure is not in its one form"),
        (RFC9901_COMPACT + "==", "the disclosure is not in its one form"),
        (RFC9901_COMPACT + "\n", "the disclosure is not base64url of"),
        ("", "the disclosure is not base64url of"),
        ("é", "the disclosure is not base64url of"),
        ("Wy+/", "the disclosure is not base64url of"),
        (b64url(b'["AA","name"]'), "the disclosure is not base64url of"),
        (b64url(b'["AA","name","value",1]'), "the disclosure is not base64url of"),
        (b64url(b'{"a":1,"b":2,"c":3}'), "the disclosure is not"),
        (b64url(b'[1,"name","value"]'), "the disclosure is not base64url of"),
        (b64url(b'["AA","name",1]'), "the disclosure is not in its one form"),
        (b64url(b'["AA",null,"value"]'), "the disclosure is not in its one form"),
        (b64url(b'["AB","name","value"]'), "the disclosure is not in its one form"),
        (b64url(b'["AA","name","\\ud800"]'), "the disclosure is not base64url of"),
        (b64url(b"[" * 50_000), "the disclosure is not base64url of"),
    ],
)
def test_another_form_of_a_disclosure_is_refused(text: str, says: str) -> None:
    with pytest.raises(EntryError, match=f"^{says}"):
        Disclosure.decode(text)


@given(st.text(max_size=60))
def test_no_garbage_is_a_disclosure_but_in_its_one_form(text: str) -> None:
    try:
        assert Disclosure.decode(text).encode() == text
    except EntryError:
        return


@given(st.integers(0, len(RFC9901_COMPACT) - 1), st.characters())
def test_no_character_of_a_disclosure_is_without_meaning(at: int, char: str) -> None:
    forged = RFC9901_COMPACT[:at] + char + RFC9901_COMPACT[at + 1 :]
    try:
        same = Disclosure.decode(forged).digest() == Disclosure.decode(RFC9901_COMPACT).digest()
        assert same == (forged == RFC9901_COMPACT)
    except EntryError:
        assert forged != RFC9901_COMPACT
