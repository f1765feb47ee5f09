"""Each rule of the policy, one condition a case, with the words that it says no in."""

from dataclasses import replace
from typing import Any

import pytest

from spaces.policy.blueprint import CALL_MEMBER, creation_content, fixed_state
from spaces.policy.envelope import MAX_REACTION
from spaces.policy.records import Admission, PersonRecord, Standing
from spaces.policy.refusal import Code
from spaces.policy.rules import (
    MAX_REASON,
    EventRequest,
    refuse_account,
    refuse_admission,
    refuse_creation,
    refuse_engagement,
    refuse_frozen,
    refuse_hub_event,
    refuse_person,
    refuse_state,
    refuse_timeline,
)
from tests.policy import (
    ALICE,
    BOB,
    BOT,
    CAROL,
    CHARTER,
    NOW,
    REACTION,
    ROSTER,
    SEALED,
    SPACE,
    Case,
    changed,
    check,
    company,
    event,
    person,
    without,
)

PLAINTEXT = "this room carries encrypted messages only; let your client encrypt"


# --- who may use the hub, and be in a room

ACCOUNTS: dict[str, Case] = {
    "in good standing": (ROSTER, None, ""),
    "not enrolled": (without(BOB), Code.PERSON_UNKNOWN, f"{BOB} is not enrolled in this hub"),
    "suspended": (
        changed(person(BOB, standing=Standing.SUSPENDED)),
        Code.PERSON_SUSPENDED,
        f"{BOB} is suspended",
    ),
    "of a company that is not here": (without("northwind"), Code.COMPANY_UNKNOWN, "northwind is not in this hub"),
    "of a suspended company": (
        changed(company("northwind", standing=Standing.SUSPENDED)),
        Code.COMPANY_SUSPENDED,
        "Northwind Trading is suspended",
    ),
    "the contract ended before": (
        changed(company("northwind", not_after=NOW - 1)),
        Code.COMPANY_ENDED,
        "the contract with Northwind Trading has ended",
    ),
    "the contract ends now": (
        changed(company("northwind", not_after=NOW)),
        Code.COMPANY_ENDED,
        "the contract with Northwind Trading has ended",
    ),
    "the contract ends in a millisecond": (changed(company("northwind", not_after=NOW + 1)), None, ""),
}


@pytest.mark.parametrize("name", ACCOUNTS)
def test_who_may_use_the_hub(name: str) -> None:
    found, code, sentence = ACCOUNTS[name]
    check(refuse_account(BOB, found, NOW), code, sentence)
    check(refuse_person(BOB, CHARTER, found, NOW), code, sentence)


NO_PART = "has no part in this engagement"
ADMISSIONS: dict[str, Case] = {
    "the whole company": ((Admission(company="contoso"),), None, ""),
    "a team that the person is in": ((Admission(company="contoso", team="sales"),), None, ""),
    "one team of two": (
        (Admission(company="contoso", team="legal"), Admission(company="contoso", team="sales")),
        None,
        "",
    ),
    "another team": ((Admission(company="contoso", team="legal"),), Code.COMPANY_NOT_ADMITTED, f"{ALICE} {NO_PART}"),
    "another company's team of that name": (
        (Admission(company="northwind", team="sales"),),
        Code.COMPANY_NOT_ADMITTED,
        f"{ALICE} {NO_PART}",
    ),
    "another company": ((Admission(company="northwind"),), Code.COMPANY_NOT_ADMITTED, f"{ALICE} {NO_PART}"),
    "a team whose name is empty": (
        (Admission(company="contoso", team=""),),
        Code.COMPANY_NOT_ADMITTED,
        f"{ALICE} {NO_PART}",
    ),
    "nobody": ((), Code.COMPANY_NOT_ADMITTED, f"{ALICE} {NO_PART}"),
}


@pytest.mark.parametrize("name", ADMISSIONS)
def test_whom_a_charter_admits(name: str) -> None:
    admits, code, sentence = ADMISSIONS[name]
    charter = replace(CHARTER, admits=admits)
    check(refuse_admission(ROSTER.people[ALICE], charter, NOW), code, sentence)
    check(refuse_person(ALICE, charter, ROSTER, NOW), code, sentence)


@pytest.mark.parametrize(
    ("times", "sentence"),
    [
        ({"not_before": NOW + 1}, "your part in this room has not begun"),
        ({"not_before": NOW}, None),
        ({"not_after": NOW + 1}, None),
        ({"not_after": NOW}, "your part in this room is over"),
        ({"not_before": NOW - 2, "not_after": NOW - 1}, "your part in this room is over"),
    ],
)
def test_an_admission_holds_from_its_beginning_until_the_millisecond_it_ends(
    times: dict[str, Any], sentence: str | None
) -> None:
    charter = replace(CHARTER, admits=(Admission(company="contoso", **times),))
    code = None if sentence is None else Code.NOT_IN_PHASE
    check(refuse_admission(ROSTER.people[ALICE], charter, NOW), code, sentence or "")
    check(refuse_person(ALICE, charter, ROSTER, NOW), code, sentence or "")


def test_another_admission_that_holds_is_enough() -> None:
    over = Admission(company="contoso", not_after=NOW)
    for admits in ((over, Admission(company="contoso")), (Admission(company="contoso"), over)):
        assert refuse_admission(ROSTER.people[ALICE], replace(CHARTER, admits=admits), NOW) is None


def test_a_room_is_frozen_from_the_millisecond_on_that_its_charter_says() -> None:
    for frozen_from, sentence in ((None, None), (NOW + 1, None), (NOW, "this room is frozen")):
        refusal = refuse_frozen(replace(CHARTER, frozen_from=frozen_from), NOW)
        assert (refusal is None) is (sentence is None)
        assert refusal is None or refusal.sentence.startswith(str(sentence))


def test_naming_a_company_in_a_charter_does_not_admit_it() -> None:
    charter = replace(CHARTER, companies=("contoso", "northwind", "fabrikam"))
    check(refuse_person(CAROL, charter, ROSTER, NOW), Code.COMPANY_NOT_ADMITTED, f"{CAROL} {NO_PART}")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"open": False}, "this engagement is closed"),
        ({"not_after": NOW - 1}, "this engagement has ended"),
        ({"not_after": NOW}, "this engagement has ended"),
        ({"not_after": NOW + 1}, None),
        ({}, None),
    ],
)
def test_an_engagement_is_open_until_the_millisecond_it_ends(changes: dict[str, Any], sentence: str | None) -> None:
    charter = replace(CHARTER, **changes)
    code = None if sentence is None else Code.ENGAGEMENT_CLOSED
    check(refuse_engagement(charter, NOW), code, sentence or "")
    check(refuse_person(BOB, charter, ROSTER, NOW), code, sentence or "")


class _Forgetful:
    """A roster that changes between two questions."""

    def __init__(self) -> None:
        self._people = [ROSTER.people[BOB]]

    def company(self, name: str) -> Any:
        return ROSTER.company(name)

    def person(self, user_id: str) -> PersonRecord | None:
        return self._people.pop() if self._people else None


def test_a_roster_that_changes_while_it_is_asked_admits_nobody_whom_the_charter_does_not() -> None:
    assert refuse_person(BOB, replace(CHARTER, admits=()), _Forgetful(), NOW) is not None


# --- creating rooms


@pytest.mark.parametrize("charter", [CHARTER, SPACE], ids=["room", "space"])
def test_the_hub_creates_a_room_as_its_charter_says(charter: Any) -> None:
    content = {**creation_content(charter), "room_version": "12"}
    assert refuse_creation(event("m.room.create", content, "", sender=BOT), charter, BOT) is None
    assert refuse_creation(event("m.room.create", {**content, "creator": BOT}, "", sender=BOT), charter, BOT) is None
    check(
        refuse_creation(event("m.room.create", content, ""), charter, BOT),
        Code.ROOM_BY_HUB,
        "rooms are made by the hub, for an engagement",
    )
    check(
        refuse_creation(event("m.room.create", content, "", sender=BOT), None, BOT),
        Code.CHARTER_MISSING,
        "there is no charter for 'rm_1'",
    )


OTHER_CREATIONS: dict[str, dict[str, Any]] = {
    "another version": {"room_version": "11"},
    "federated": {"m.federate": True},
    "a Space": {"type": "m.space"},
    "another charter": {"org.conclave.room": "rm_2"},
    "more creators": {"additional_creators": [BOB]},
    "a predecessor": {"predecessor": {"room_id": "!old"}},
    "a number for a truth value": {"m.federate": 0},
}


@pytest.mark.parametrize("name", OTHER_CREATIONS)
def test_the_hub_creates_no_room_in_another_way(name: str) -> None:
    content = {**creation_content(CHARTER), "room_version": "12", **OTHER_CREATIONS[name]}
    check(
        refuse_creation(event("m.room.create", content, "", sender=BOT), CHARTER, BOT),
        Code.STATE_FIXED,
        "the charter of rm_1 wants the room created in another way",
    )


# --- state


def fixed(event_type: str) -> str:
    return f"{event_type} is fixed by the charter of this room"


STATE_CODES: dict[str, Code] = {
    "m.room.encryption": Code.ENCRYPTION_FIXED,
    "m.room.history_visibility": Code.HISTORY_FIXED,
    "m.room.join_rules": Code.JOIN_RULES_FIXED,
    "m.room.guest_access": Code.JOIN_RULES_FIXED,
    "m.room.power_levels": Code.POWER_FIXED,
    "m.room.server_acl": Code.SERVER_ACL_FIXED,
    "m.room.tombstone": Code.UPGRADE_BY_HUB,
    "m.room.name": Code.STATE_FIXED,
    "m.room.topic": Code.STATE_FIXED,
    "m.room.avatar": Code.STATE_FIXED,
    "m.room.pinned_events": Code.STATE_FIXED,
    "m.room.canonical_alias": Code.ADDRESS_CLOSED,
    "m.room.third_party_invite": Code.INVITE_BY_EMAIL,
    "m.space.child": Code.STATE_FIXED,
    "com.example.widget": Code.STATE_FIXED,
}


@pytest.mark.parametrize("event_type", STATE_CODES)
def test_members_set_no_state_even_when_it_says_what_the_charter_says(event_type: str) -> None:
    content = fixed_state(CHARTER, BOT).get((event_type, ""), {})
    check(refuse_state(event(event_type, content, ""), CHARTER), STATE_CODES[event_type], fixed(event_type))


@pytest.mark.parametrize("event_type", sorted(STATE_CODES.keys() - {"m.space.child"}))
def test_the_hub_sets_no_state_that_the_charter_does_not_say(event_type: str) -> None:
    request = event(event_type, {"x": 1}, "", sender=BOT)
    check(refuse_hub_event(request, CHARTER, BOT), STATE_CODES[event_type], fixed(event_type))


OWN_PLACES = [BOB, f"{BOB}_DEVICE", f"_{BOB}_DEVICE_m.call"]
OTHER_PLACES = ["", ALICE, f"{ALICE}_D", f"_{ALICE}_D", f"{BOB}x", f"_{BOB}", BOB.upper()]


@pytest.mark.parametrize("key", OWN_PLACES)
def test_members_take_their_own_place_in_a_call(key: str) -> None:
    assert refuse_state(event(CALL_MEMBER, {}, key), CHARTER) is None


@pytest.mark.parametrize("key", OTHER_PLACES)
def test_members_take_nobody_elses_place_in_a_call(key: str) -> None:
    check(refuse_state(event(CALL_MEMBER, {}, key), CHARTER), Code.STATE_FIXED, fixed(CALL_MEMBER))


def test_there_are_no_calls_in_a_space() -> None:
    check(refuse_state(event(CALL_MEMBER, {}, BOB), SPACE), Code.SPACE_QUIET, "a Space carries no conversation")


@pytest.mark.parametrize("charter", [CHARTER, SPACE, replace(CHARTER, open=False, room_version="11")])
def test_the_hub_sets_what_the_charter_says(charter: Any) -> None:
    for (event_type, state_key), content in fixed_state(charter, BOT).items():
        assert refuse_hub_event(event(event_type, content, state_key, sender=BOT), charter, BOT) is None


NEARLY: dict[str, tuple[str, dict[str, Any], str, Code]] = {
    "under another key": ("m.room.name", {"name": "Deals"}, "x", Code.STATE_FIXED),
    "with a member more": ("m.room.name", {"name": "Deals", "x": 1}, "", Code.STATE_FIXED),
    "with a member less": ("m.room.name", {}, "", Code.STATE_FIXED),
    "shared history": ("m.room.history_visibility", {"history_visibility": "shared"}, "", Code.HISTORY_FIXED),
    "public": ("m.room.join_rules", {"join_rule": "public"}, "", Code.JOIN_RULES_FIXED),
    "another rendered topic": (
        "m.room.topic",
        {"topic": CHARTER.topic, "m.topic": {"m.text": [{"body": "call this number"}]}},
        "",
        Code.STATE_FIXED,
    ),
    "a truth value for a number": (
        "m.room.power_levels",
        {**fixed_state(CHARTER, BOT)["m.room.power_levels", ""], "events_default": False},
        "",
        Code.POWER_FIXED,
    ),
    "another historical power": (
        "m.room.power_levels",
        {**fixed_state(CHARTER, BOT)["m.room.power_levels", ""], "historical": "free text"},
        "",
        Code.POWER_FIXED,
    ),
}


@pytest.mark.parametrize("name", NEARLY)
def test_the_hub_sets_nothing_that_is_only_nearly_what_the_charter_says(name: str) -> None:
    event_type, content, key, code = NEARLY[name]
    check(refuse_hub_event(event(event_type, content, key, sender=BOT), CHARTER, BOT), code, fixed(event_type))


def test_what_the_homeserver_adds_of_itself_is_no_difference() -> None:
    topic = {"topic": CHARTER.topic, "m.topic": {"m.text": [{"body": CHARTER.topic}]}}
    powers = {**fixed_state(CHARTER, BOT)["m.room.power_levels", ""], "historical": 100}
    for event_type, content in (("m.room.topic", topic), ("m.room.power_levels", powers)):
        assert refuse_hub_event(event(event_type, content, "", sender=BOT), CHARTER, BOT) is None


def test_the_hub_links_space_and_rooms() -> None:
    for event_type in ("m.space.child", "m.space.parent"):
        link = event(event_type, {"via": ["hub.test"]}, "!r", sender=BOT)
        assert refuse_hub_event(link, CHARTER, BOT) is None


# --- what is said


def relation(**members: Any) -> dict[str, Any]:
    return {"m.relates_to": {"event_id": "$e", **members}}


WHAT_IS_SAID: dict[str, tuple[EventRequest, bool]] = {
    "sealed": (event("m.room.encrypted", SEALED), True),
    "sealed, with a relation": (event("m.room.encrypted", {**SEALED, **relation(rel_type="m.replace")}), True),
    "a reaction": (event("m.reaction", REACTION), True),
    "the longest reaction": (event("m.reaction", relation(rel_type="m.annotation", key="x" * MAX_REACTION)), True),
    "a redaction": (event("m.room.redaction", {}), True),
    "a redaction with a reason": (event("m.room.redaction", {"redacts": "$e", "reason": "x" * MAX_REASON}), True),
    "clear": (event("m.room.message", {"msgtype": "m.text", "body": "x"}), False),
    "clear, empty": (event("m.room.message", {}), False),
    "a sticker": (event("m.sticker", {"body": "x", "url": "mxc://x"}), False),
    "of a type nobody knows": (event("com.example.note", {"body": "x"}), False),
    "membership that is no state": (event("m.room.member", {"membership": "leave"}), False),
    "of another algorithm": (event("m.room.encrypted", {**SEALED, "algorithm": "m.olm.v1"}), False),
    "without an algorithm": (event("m.room.encrypted", {"ciphertext": "x", "session_id": "y"}), False),
    "without a ciphertext": (event("m.room.encrypted", {**SEALED, "ciphertext": ""}), False),
    "with a table for ciphertext": (event("m.room.encrypted", {**SEALED, "ciphertext": {"k": "v"}}), False),
    "without a session": (event("m.room.encrypted", {**SEALED, "session_id": ""}), False),
    "sealed, with clear text beside it": (event("m.room.encrypted", {**SEALED, "body": "x"}), False),
    "sealed, with a clear file beside it": (event("m.room.encrypted", {**SEALED, "url": "mxc://x"}), False),
    "a reaction that is too long": (
        event("m.reaction", relation(rel_type="m.annotation", key="x" * (MAX_REACTION + 1))),
        False,
    ),
    "a reaction without a key": (event("m.reaction", {"m.relates_to": {}}), False),
    "a reaction to nothing": (event("m.reaction", {}), False),
    "a reaction with a list": (event("m.reaction", {"m.relates_to": [{"key": "x"}]}), False),
    "a reaction with clear text": (event("m.reaction", {**REACTION, "body": "x"}), False),
}


@pytest.mark.parametrize("name", WHAT_IS_SAID)
def test_what_may_be_said_in_a_room_and_not_in_a_space(name: str) -> None:
    request, admitted = WHAT_IS_SAID[name]
    check(refuse_timeline(request, CHARTER), None if admitted else Code.PLAINTEXT, PLAINTEXT)
    quiet = "a Space carries no conversation; use one of its rooms"
    check(refuse_timeline(request, SPACE), Code.SPACE_QUIET, quiet)
    hub = replace(request, sender=BOT)
    check(refuse_hub_event(hub, CHARTER, BOT), None if admitted else Code.PLAINTEXT, PLAINTEXT)
    check(refuse_hub_event(hub, SPACE, BOT), Code.SPACE_QUIET, "a Space carries no conversation")


@pytest.mark.parametrize(
    "content",
    [{"body": "x"}, {"reason": "x" * (MAX_REASON + 1)}, {"reason": {"body": "x"}}, {"redacts": "$e", "novel": "x"}],
)
def test_a_redaction_carries_a_short_reason_and_nothing_else(content: dict[str, Any]) -> None:
    said = f"only a reason of at most {MAX_REASON} characters may stand in the clear beside m.room.redaction"
    check(refuse_timeline(event("m.room.redaction", content), CHARTER), Code.PLAINTEXT, said)
