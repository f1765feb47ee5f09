"""Documents: every record through its document and back, and nothing that is only nearly one."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces.policy.documents import (
    READERS,
    Document,
    DocumentError,
    DocumentKind,
    Record,
    document_of,
    parse_document,
)
from spaces.policy.records import (
    Admission,
    Charter,
    CompanyRecord,
    PersonRecord,
    Recording,
    RoomKind,
    Standing,
)
from tests.policy import BOB, CHARTER, JSON, company, person

words = st.text(max_size=12)
instants = st.none() | st.integers(-(2**53), 2**53)
records: st.SearchStrategy[Record] = st.one_of(
    st.builds(
        Charter,
        key=words,
        engagement=words,
        kind=st.sampled_from(RoomKind),
        name=words,
        topic=words,
        admits=st.lists(
            st.builds(
                Admission,
                company=words,
                team=st.none() | words,
                person=st.none() | words,
                not_before=instants,
                not_after=instants,
            ),
            max_size=3,
        ).map(tuple),
        companies=st.lists(words, max_size=3).map(tuple),
        open=st.booleans(),
        not_after=instants,
        history_visibility=words,
        recording=st.sampled_from(Recording),
        retention=words,
        room_version=words,
        contact=words,
        accounts=st.lists(words, max_size=2).map(tuple),
        servers=st.lists(words, max_size=2).map(tuple),
        held=st.booleans(),
        direct=st.booleans(),
        frozen_from=instants,
    ),
    st.builds(
        CompanyRecord,
        company=words,
        name=words,
        standing=st.sampled_from(Standing),
        not_after=instants,
        max_upload=instants,
        server=st.none() | words,
        direct=st.lists(words, max_size=2).map(tuple),
    ),
    st.builds(
        PersonRecord,
        user_id=words,
        person=words,
        company=words,
        standing=st.sampled_from(Standing),
        teams=st.frozensets(words, max_size=3),
        held=st.booleans(),
    ),
)

EXAMPLES: dict[str, Record] = {
    "charter": replace(CHARTER, not_after=1_900_000_000_000),
    "company": company("northwind", not_after=1_900_000_000_000),
    "person": person(BOB, teams=frozenset({"sales", "legal"})),
}


def over_the_wire(document: Document) -> Any:
    """The document as the guard gets it."""
    return json.loads(document.signed_bytes().split(b"\n", 1)[1])


def wire(name: str) -> Any:
    return over_the_wire(document_of(EXAMPLES[name], 7))


@given(records, st.integers(1, 2**53))
def test_a_record_comes_back_from_its_document(record: Record, version: int) -> None:
    sent = document_of(record, version)
    found = parse_document(over_the_wire(sent))
    assert found.signed_bytes() == sent.signed_bytes()
    assert READERS[found.kind](found.body) == record
    assert (found.version, found.gone) == (version, False)


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_kind_has_its_own_key(name: str) -> None:
    keys = {"charter": "rm_1", "company": "northwind", "person": BOB}
    document = document_of(EXAMPLES[name], 1)
    assert (document.kind, document.key) == (name, keys[name])


def test_what_is_signed_never_changes() -> None:
    """A frozen example: another form would make every stored signature worthless."""
    document = document_of(replace(company("northwind"), name="Nörd & Söhne", not_after=5), 3)
    assert document.signed_bytes() == (
        b"conclave-document/1\n"
        b'{"body":{"company":"northwind","name":"N\xc3\xb6rd & S\xc3\xb6hne","not_after":5,"standing":"active"},'
        b'"gone":false,"key":"northwind","kind":"company","version":3}'
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 8},
        {"key": "other"},
        {"gone": True},
        {"kind": DocumentKind.COMPANY},
        {"body": {"standing": "suspended"}},
    ],
)
def test_the_signature_covers_every_part(changes: dict[str, Any]) -> None:
    document = document_of(EXAMPLES["person"], 7)
    assert replace(document, **changes).signed_bytes() != document.signed_bytes()


def test_the_order_of_members_makes_no_difference_to_what_is_signed() -> None:
    document = document_of(EXAMPLES["charter"], 7)
    turned = replace(document, body=dict(sorted(document.body.items(), reverse=True)))
    assert turned.signed_bytes() == document.signed_bytes()


# --- what is refused

ENVELOPE: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown kind": ({"kind": "robot"}, "'robot' is none of charter, company, person"),
    "no kind": ({"kind": None}, "None is none of charter, company, person"),
    "a number for a key": ({"key": 7}, "key is text, version an integer from 1 on"),
    "version 0": ({"version": 0}, "key is text, version an integer from 1 on"),
    "a version below": ({"version": -1}, "key is text, version an integer from 1 on"),
    "a truth value for a version": ({"version": True}, "key is text, version an integer from 1 on"),
    "a fraction for a version": ({"version": 1.0}, "key is text, version an integer from 1 on"),
    "text for a version": ({"version": "1"}, "key is text, version an integer from 1 on"),
    "a list for a body": ({"body": []}, "body is an object, gone a truth value"),
    "a number for gone": ({"gone": 0}, "body is an object, gone a truth value"),
    "another's key": ({"key": "@eve.northwind:hub.test"}, "describes another person than @eve.northwind:hub.test"),
    "a member more": ({"extra": 1}, "a document has kind, key, version, body and gone"),
}


@pytest.mark.parametrize("name", ENVELOPE)
def test_an_envelope_has_one_form(name: str) -> None:
    changes, text = ENVELOPE[name]
    with pytest.raises(DocumentError, match=text.replace(".", r"\.")):
        parse_document({**wire("person"), **changes})


@pytest.mark.parametrize("member", ["kind", "key", "version", "body", "gone"])
def test_an_envelope_is_complete(member: str) -> None:
    data = wire("person")
    del data[member]
    with pytest.raises(DocumentError, match="a document has kind, key, version, body and gone"):
        parse_document(data)


@pytest.mark.parametrize("data", [None, [], "charter", 5, {}])
def test_what_is_no_object_is_no_document(data: Any) -> None:
    with pytest.raises(DocumentError, match="a document has kind, key, version, body and gone"):
        parse_document(data)


LATER = {"accounts", "servers", "held", "direct", "max_upload", "server", "frozen_from"}
"""Members that came after the first form: left out where they say nothing."""
MEMBERS = [(name, field.name) for name, record in EXAMPLES.items() for field in fields(record)]
WRONG: list[Any] = [0, 1.5, True, None, "", [], {}, [0], [None], [[]], [{}], {"a": 1}, ["x", 1]]


def fits(name: str, member: str, value: Any) -> bool:
    """Whether ``value`` is of the type that the record's member has."""
    if member in ("not_after", "max_upload", "frozen_from"):
        return value is None or type(value) is int
    if member in ("teams", "companies", "admits", "accounts", "servers") or (name, member) == ("company", "direct"):
        return bool(value == [])
    if member in ("open", "held", "direct"):
        return isinstance(value, bool)
    if member == "server":
        return isinstance(value, str | None)
    return isinstance(value, str) and member not in ("kind", "recording", "standing")


@pytest.mark.parametrize(("name", "member"), MEMBERS)
def test_a_member_of_another_type_is_refused(name: str, member: str) -> None:
    for value in WRONG:
        if not fits(name, member, value):
            data = wire(name)
            data["body"][member] = value
            with pytest.raises(DocumentError):
                parse_document(data)


@pytest.mark.parametrize(("name", "member"), [item for item in MEMBERS if item[1] not in LATER])
def test_a_body_is_complete(name: str, member: str) -> None:
    data = wire(name)
    del data["body"][member]
    with pytest.raises(DocumentError):
        parse_document(data)


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_says_nothing_is_left_out_so_that_older_signatures_hold(name: str) -> None:
    assert not LATER & wire(name)["body"].keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_body_has_no_member_more(name: str) -> None:
    data = wire(name)
    data["body"]["extra"] = "x"
    with pytest.raises(DocumentError, match="has other members than"):
        parse_document(data)


@pytest.mark.parametrize(
    "admission",
    [
        None,
        "a",
        {"company": "a"},
        {"team": "b"},
        {"company": 1, "team": None},
        {"company": "a", "team": 1},
        {"company": "a", "team": None, "from": 1},
        {"company": "a", "team": None, "person": 1},
    ],
)
def test_an_admission_names_a_company_and_perhaps_a_team_or_person(admission: Any) -> None:
    data = wire("charter")
    data["body"]["admits"] = [admission]
    with pytest.raises(DocumentError):
        parse_document(data)


@pytest.mark.parametrize("name", ["kind", "recording"])
def test_a_charter_of_an_unknown_sort_is_refused(name: str) -> None:
    data = wire("charter")
    data["body"][name] = "secret"
    with pytest.raises(DocumentError, match="'secret' is none of"):
        parse_document(data)


def test_a_record_that_is_gone_needs_no_body() -> None:
    found = parse_document({"kind": "person", "key": BOB, "version": 9, "body": {}, "gone": True})
    assert found.gone


@settings(max_examples=200)
@given(
    st.sampled_from(MEMBERS),
    JSON,
    st.sampled_from(["kind", "key", "version", "body", "gone", "in the body", "all"]),
)
def test_anything_is_a_document_or_refused_as_none(at: tuple[str, str], value: Any, place: str) -> None:
    name, member = at
    data = wire(name)
    if place == "in the body":
        data["body"][member] = value
    elif place == "all":
        data = value
    else:
        data[place] = value
    try:
        found = parse_document(data)
    except DocumentError:
        return
    assert found.gone or document_of(READERS[found.kind](found.body), found.version).key == found.key
