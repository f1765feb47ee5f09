"""Published answers, pure: what may be published, by whom, when, and in which words."""

from dataclasses import replace

import pytest

from bridge.helper.drafts import KEPT_MS, MAX_DRAFTS, Drafts, parted
from config.errors import InvalidInputError
from spaces.answer import (
    MAX_ANSWER,
    NotAPublisherError,
    demand_pitch,
    demand_publisher,
    said,
    text_of,
)
from spaces.committee import Committee, Declared, Member, Phase, PhaseError, Vendor, charters_of, kept
from tests.fakes.hub import START, ManualClock

MEMBERS = tuple(
    Member(person=name, user_id=f"@{name}:x", declared=declared)
    for name, declared in (("ann", Declared.NONE), ("bea", Declared.CONFLICT), ("cay", None))
)
CRM = Committee(
    id="crm",
    title="CRM",
    buyer="contoso",
    chair="ann",
    contact="Dana",
    space="rm_s",
    deliberation="rm_d",
    members=MEMBERS,
    vendors=(Vendor(company="adatum", pitch="rm_p"),),
    phase=Phase.PITCH,
    pitch_at=START,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("yes", "yes"),
        ("  yes\r\nand no \n", "yes\nand no"),
        ("ä" * MAX_ANSWER, "ä" * MAX_ANSWER),
        ("👩‍👩‍👧 \u00a0نعم", "👩‍👩‍👧 \u00a0نعم"),
    ],
)
def test_what_is_text_is_published_as_it_is(text: str, found: str) -> None:
    assert text_of(text, "answer", MAX_ANSWER) == found


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "the answer is empty"),
        (" \r\n ", "the answer is empty"),
        ("x" * (MAX_ANSWER + 1), "the answer has 2,001 characters; at most 2,000 are sent"),
        ("a\0b", "the answer has U+0000 at character 2; expected text and line breaks alone"),
        ("a\tb", "the answer has U+0009 at character 2; expected text and line breaks alone"),
        ("a\rb", "the answer has U+000D at character 2; expected text and line breaks alone"),
        ("\x1b[2J", "the answer has U+001B at character 1; expected text and line breaks alone"),
        ("ab\u202ecd", "the answer has U+202E at character 3; expected text and line breaks alone"),
        ("a\u200fb", "the answer has U+200F at character 2; expected text and line breaks alone"),
        ("a\u200bb", "the answer has U+200B at character 2; expected text and line breaks alone"),
        ("a\U000e0041b", "the answer has U+E0041 at character 2; expected text and line breaks alone"),
        ("\x9fx", "the answer has U+009F at character 1; expected text and line breaks alone"),
        ("\ud800", "the answer has U+D800 at character 1; expected text and line breaks alone"),
    ],
)
def test_what_is_no_text_is_named(text: str, error: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        text_of(text, "answer", MAX_ANSWER)
    assert (raised.value.message, raised.value.field) == (error, "answer")


def test_the_words_are_the_question_where_there_is_one_and_the_answer() -> None:
    head = "From the buyers, in the same words to everyone who pitches:\n\n"
    assert said("", "No.") == head + "Answer: No."
    assert said("May it?", "No.") == head + "Question: May it?\n\nAnswer: No."


@pytest.mark.parametrize(
    ("person", "manager", "error"),
    [
        ("ann", False, ""),
        ("dana", True, ""),
        ("ann", True, ""),
        ("cay", True, ""),
        ("bea", False, "you declared a conflict of interest in crm"),
        ("bea", True, "you declared a conflict of interest in crm"),
        ("cay", False, "crm publishes by its members, once they declared, and by partner managers"),
        ("vic", False, "crm publishes by its members, once they declared, and by partner managers"),
    ],
)
def test_who_may_publish(person: str, manager: bool, error: str) -> None:
    if not error:
        demand_publisher(CRM, person, manager=manager)
        return
    with pytest.raises(NotAPublisherError) as raised:
        demand_publisher(CRM, person, manager=manager)
    assert raised.value.message == error


@pytest.mark.parametrize("phase", Phase)
def test_answers_are_published_while_vendors_are_in(phase: Phase) -> None:
    committee = replace(CRM, phase=phase)
    if phase is Phase.PITCH:
        demand_pitch(committee)
        return
    with pytest.raises(PhaseError, match=f"crm is in phase {phase}; an answer is published in phase pitch"):
        demand_pitch(committee)


@pytest.mark.parametrize("phase", Phase)
def test_the_helper_stays_in_a_charter_while_vendors_are_in_and_a_hold_always(phase: Phase) -> None:
    charter = charters_of(CRM, {"contoso": "Contoso", "adatum": "Adatum"}, "12")[2]
    before = replace(charter, accounts=("@conclave-helper:x",), held=True)
    after = kept(charter, before, replace(CRM, phase=phase))
    assert (after.accounts, after.held) == (before.accounts if phase is Phase.PITCH else (), True)


# --- between a message and its yes


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("No.", ("", "No.")),
        ("Q: May it?\nA: No.", ("May it?", "No.")),
        ("q:May it?\n\n a:  No.\nNever.", ("May it?", "No.\nNever.")),
        ("Q: May it?", ("", "Q: May it?")),
        ("The FAQ: see\nA: below", ("", "The FAQ: see\nA: below")),
        ("Q: one\ntwo\nA: x\nA: y", ("one\ntwo", "x\nA: y")),
    ],
)
def test_a_question_and_its_answer(text: str, parts: tuple[str, str]) -> None:
    assert parted(text) == parts


def test_a_draft_is_kept_for_ten_minutes_for_one_person_and_committee() -> None:
    clock = ManualClock()
    drafts = Drafts(clock)
    drafts.keep("ann", "crm", "", "first")
    drafts.keep("ann", "crm", "q", "second")
    found = drafts.kept("ann", "crm")
    assert found is not None
    assert (found.question, found.answer) == ("q", "second")
    assert drafts.kept("ann", "erp") is drafts.kept("bea", "crm") is None
    clock.now += KEPT_MS
    assert drafts.kept("ann", "crm") is found
    clock.now += 1
    assert drafts.kept("ann", "crm") is None


def test_drafts_are_dropped_on_demand_and_the_oldest_when_there_are_too_many() -> None:
    drafts = Drafts(ManualClock())
    for number in range(MAX_DRAFTS + 1):
        drafts.keep(f"p{number}", "crm", "", "x")
    assert drafts.kept("p0", "crm") is None
    assert drafts.kept("p1", "crm") is not None
    drafts.drop("p1", "crm")
    assert drafts.kept("p1", "crm") is None
