"""The rules of what is no event: each with the case that it refuses, and the one beside it that it lets through."""

from dataclasses import replace

import pytest

from spaces.policy.acts import (
    refuse_alias,
    refuse_deactivation,
    refuse_email_invite,
    refuse_publication,
    refuse_redaction,
    refuse_shutdown,
    refuse_sight,
    refuse_upgrade,
    refuse_upload,
    size_text,
    upload_limit,
)
from spaces.policy.decide import decide
from spaces.policy.records import Admission, Charter, Standing
from spaces.policy.refusal import Code, Refusal
from tests.policy import (
    ACT_EXAMPLES,
    ALICE,
    BOB,
    BOT,
    CAROL,
    CHARTER,
    NOW,
    ROSTER,
    SERVER,
    STRANGER,
    changed,
    check,
    company,
    event,
    person,
    without,
)

REDACTS = event("m.room.redaction", {"redacts": "$e"})
HELD_BOB = changed(person(BOB, held=True))
LIMITED = changed(company("northwind", max_upload=10 << 20))


@pytest.mark.parametrize("code", ACT_EXAMPLES)
def test_each_code_is_given_for_its_reason(code: Code) -> None:
    refusal = ACT_EXAMPLES[code]
    assert refusal is not None
    assert refusal.code is code


def test_addresses_lists_and_invitations_by_address_are_closed_to_everyone() -> None:
    check(refuse_alias(), Code.ADDRESS_CLOSED, "rooms have no addresses")
    check(refuse_publication("public"), Code.ADDRESS_CLOSED, "rooms are not listed")
    check(refuse_publication("banana"), Code.ADDRESS_CLOSED, "rooms are not listed")
    assert refuse_publication("private") is None
    sentence = "people are invited by the hub, not by address or number"
    check(refuse_email_invite(), Code.INVITE_BY_EMAIL, sentence)


def test_a_room_that_replaces_another_is_refused() -> None:
    refusal = refuse_upgrade({"predecessor": {"room_id": "!x"}})
    check(refusal, Code.UPGRADE_BY_HUB, "rooms are not replaced by new versions")
    assert refuse_upgrade({"org.conclave.room": "rm_1"}) is None


# --- redaction


def test_a_hold_on_the_room_keeps_what_was_said_from_its_sender_and_from_the_hub() -> None:
    held = replace(CHARTER, held=True)
    for sender in (BOB, BOT):
        refusal = refuse_redaction(replace(REDACTS, sender=sender), held, ROSTER, BOT)
        check(refusal, Code.HELD, "a legal hold keeps what was said in this room")


def test_a_hold_on_a_person_keeps_what_they_said() -> None:
    check(
        refuse_redaction(replace(REDACTS, sender=BOB), CHARTER, HELD_BOB, BOT),
        Code.HELD,
        "a legal hold keeps what you said",
    )
    assert refuse_redaction(replace(REDACTS, sender=ALICE), CHARTER, HELD_BOB, BOT) is None
    check(
        refuse_redaction(replace(REDACTS, sender=BOB), CHARTER, without(BOB), BOT),
        Code.HELD,
        "a legal hold keeps what you said",
    )


def test_the_hub_takes_nothing_back() -> None:
    refusal = refuse_redaction(replace(REDACTS, sender=BOT), CHARTER, ROSTER, BOT)
    check(refusal, Code.REDACTION_BY_SENDER, "the hub takes nothing back that others said")


def test_state_is_not_taken_back() -> None:
    for sender in (BOB, BOT):
        refusal = refuse_redaction(replace(REDACTS, sender=sender, redacts_state=True), CHARTER, ROSTER, BOT)
        check(refusal, Code.STATE_FIXED, "only what was said can be taken back")
    assert decide(REDACTS, CHARTER, ROSTER, NOW, BOT) is None


def test_a_hold_ends_no_conversation() -> None:
    held, redacts = replace(CHARTER, held=True), event("m.room.redaction", {"redacts": "$e"})
    sealed = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "y"}
    assert decide(event("m.room.encrypted", sealed), held, HELD_BOB, NOW, BOT) is None
    refusal = decide(redacts, held, ROSTER, NOW, BOT)
    assert refusal is not None
    assert refusal.code is Code.HELD


def test_who_may_not_be_in_a_room_hears_of_no_hold() -> None:
    redacts = event("m.room.redaction", {"redacts": "$e"}, sender=CAROL)
    refusal = decide(redacts, replace(CHARTER, held=True), ROSTER, NOW, BOT)
    assert refusal is not None
    assert refusal.code is Code.COMPANY_NOT_ADMITTED


# --- accounts and rooms


@pytest.mark.parametrize("by_admin", [True, False])
def test_the_hubs_own_accounts_are_never_closed(by_admin: bool) -> None:
    for user_id in (BOT, f"@conclave-helper:{SERVER}"):
        sentence = f"{user_id} belongs to the hub and stays as it is"
        check(refuse_deactivation(user_id, ROSTER, BOT, by_admin=by_admin), Code.ACCOUNT_PROTECTED, sentence)


@pytest.mark.parametrize("by_admin", [True, False])
def test_a_held_account_is_not_closed(by_admin: bool) -> None:
    refusal = refuse_deactivation(BOB, HELD_BOB, BOT, by_admin=by_admin)
    check(refusal, Code.HELD, f"a legal hold keeps the account {BOB}")


def test_people_do_not_close_their_accounts_and_administrators_do() -> None:
    refusal = refuse_deactivation(BOB, ROSTER, BOT, by_admin=False)
    check(refusal, Code.DEACTIVATION_BY_HUB, "accounts are closed by the hub")
    assert refuse_deactivation(BOB, ROSTER, BOT, by_admin=True) is None
    assert refuse_deactivation(STRANGER, ROSTER, BOT, by_admin=True) is None
    assert refuse_deactivation(STRANGER, ROSTER, BOT, by_admin=False) is not None


@pytest.mark.parametrize(
    ("key", "charter", "code", "sentence"),
    [
        (None, None, None, ""),
        ("rm_1", None, Code.CHARTER_MISSING, "no charter says whether the room rm_1 may go"),
        ("rm_1", CHARTER, Code.ROOM_KEPT, "the engagement of this room is open; close it first"),
        ("rm_1", replace(CHARTER, open=False), None, ""),
        ("rm_1", replace(CHARTER, open=False, held=True), Code.HELD, "a legal hold keeps this room"),
        ("rm_1", replace(CHARTER, held=True), Code.HELD, "a legal hold keeps this room"),
    ],
)
def test_which_rooms_may_be_deleted(key: str | None, charter: Charter | None, code: Code | None, sentence: str) -> None:
    check(refuse_shutdown(key, charter), code, sentence)


# --- files


def test_a_company_shares_files_up_to_its_limit() -> None:
    assert refuse_upload(BOB, 10 << 20, LIMITED, NOW) is None
    refusal = refuse_upload(BOB, (10 << 20) + 1, LIMITED, NOW)
    check(refusal, Code.UPLOAD_TOO_LARGE, "your company may share files of at most 10 MiB")
    assert refuse_upload(ALICE, 1 << 40, LIMITED, NOW) is None


def test_who_is_shut_out_or_unknown_shares_nothing() -> None:
    refusal = refuse_upload(STRANGER, 1, ROSTER, NOW)
    check(refusal, Code.PERSON_UNKNOWN, f"{STRANGER} is not enrolled in this hub")
    suspended = changed(person(BOB, standing=Standing.SUSPENDED))
    check(refuse_upload(BOB, 1, suspended, NOW), Code.PERSON_SUSPENDED, f"{BOB} is suspended")


def test_the_limit_that_a_client_is_told() -> None:
    assert upload_limit(BOB, LIMITED) == 10 << 20
    assert upload_limit(ALICE, LIMITED) is None
    assert upload_limit(STRANGER, LIMITED) is None


@pytest.mark.parametrize(
    ("size", "text"),
    [(1, "1 bytes"), (1023, "1023 bytes"), (1024, "1 KiB"), (1536, "1.5 KiB"), (1 << 20, "1 MiB"), (5 << 30, "5 GiB")],
)
def test_sizes_read_well(size: int, text: str) -> None:
    assert size_text(size) == text


# --- finding people


def unseen(viewer: str, subject: str) -> Refusal:
    return Refusal(Code.NOT_SHARED, f"{viewer} and {subject} have no engagement in common")


def test_people_of_one_company_find_each_other() -> None:
    other = f"@ben.northwind:{SERVER}"
    assert refuse_sight(BOB, other, [], changed(person(other)), NOW) is None


def test_people_who_share_an_open_engagement_find_each_other() -> None:
    assert refuse_sight(BOB, ALICE, [CHARTER], ROSTER, NOW) is None
    assert refuse_sight(ALICE, BOB, [CHARTER], ROSTER, NOW) is None


@pytest.mark.parametrize(
    "charter",
    [
        replace(CHARTER, open=False),
        replace(CHARTER, not_after=NOW),
        replace(CHARTER, admits=(Admission(company="contoso", team="legal"), Admission(company="northwind"))),
        replace(CHARTER, admits=(Admission(company="contoso", team="sales"),)),
    ],
)
def test_an_engagement_that_does_not_admit_both_now_shows_nobody(charter: Charter) -> None:
    assert refuse_sight(BOB, ALICE, [charter], ROSTER, NOW) == unseen(BOB, ALICE)
    assert refuse_sight(ALICE, BOB, [charter], ROSTER, NOW) == unseen(ALICE, BOB)
    assert refuse_sight(BOB, ALICE, [charter, CHARTER], ROSTER, NOW) is None


def test_without_a_charter_in_common_nobody_is_found() -> None:
    assert refuse_sight(BOB, ALICE, [], ROSTER, NOW) == unseen(BOB, ALICE)
    assert refuse_sight(BOB, CAROL, [CHARTER], ROSTER, NOW) == unseen(BOB, CAROL)


def test_who_is_shut_out_finds_nobody_and_is_not_found() -> None:
    out = changed(person(BOB, standing=Standing.SUSPENDED))
    for viewer, subject in ((BOB, ALICE), (ALICE, BOB)):
        refusal = refuse_sight(viewer, subject, [CHARTER], out, NOW)
        check(refusal, Code.PERSON_SUSPENDED, f"{BOB} is suspended")
    for viewer, subject in ((BOB, BOT), (BOT, BOB)):
        refusal = refuse_sight(viewer, subject, [CHARTER], ROSTER, NOW)
        check(refusal, Code.PERSON_UNKNOWN, f"{BOT} is not enrolled in this hub")
