"""What the helper says: every word of it from what the person may see."""

from dataclasses import replace

import pytest

from bridge.helper.answers import (
    MAX_ECHO,
    MAX_PEOPLE,
    Ask,
    Command,
    SeenPerson,
    SeenRoom,
    command_of,
    explain,
    named,
    no_such_room,
    rules,
    who,
    who_usage,
)
from spaces.policy.records import Recording, RoomKind
from spaces.policy.refusal import EXPLANATIONS, Code

DEALS = SeenRoom(
    key="rm_1",
    room_id="!deals",
    name="Deals",
    kind=RoomKind.ROOM,
    companies=("Contoso", "Northwind"),
    history_visibility="joined",
    recording=Recording.METADATA,
    contact="Dana Fox (Contoso)",
)
SPACE = replace(DEALS, key="rm_0", room_id="!space", name="Contoso × Northwind", kind=RoomKind.SPACE)
RECORDED = replace(DEALS, key="rm_2", room_id="!terms", name="Terms", recording=Recording.RECORDED)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("!help", Command(Ask.HELP)),
        ("  !HELP  ", Command(Ask.HELP)),
        ("!rules please", Command(Ask.RULES, "please")),
        ("!who Deals", Command(Ask.WHO, "Deals")),
        ("!who  Our side ", Command(Ask.WHO, "Our side")),
        ("!who", Command(Ask.WHO)),
        ("help", Command(Ask.UNKNOWN)),
        ("!helpme", Command(Ask.UNKNOWN)),
        ("!", Command(Ask.UNKNOWN)),
        ("", Command(Ask.UNKNOWN)),
    ],
)
def test_what_is_a_command(text: str, command: Command) -> None:
    assert command_of(text) == command


@pytest.mark.parametrize("argument", ["deals", "DEALS", "!deals", "rm_1"])
def test_a_room_is_meant_by_name_id_or_key(argument: str) -> None:
    assert named(argument, [SPACE, DEALS, RECORDED]) == [DEALS]


def test_two_rooms_of_one_name_are_both_meant_and_an_id_means_one() -> None:
    other = replace(DEALS, key="rm_9", room_id="!other", companies=("Contoso", "Fabrikam"))
    assert named("Deals", [DEALS, other]) == [DEALS, other]
    assert named("!other", [DEALS, other]) == [other]
    assert named("", [replace(DEALS, name="")]) == []


def test_who_is_in_a_room() -> None:
    assert who(DEALS, [SeenPerson("Dana Fox", "Contoso"), SeenPerson("Bob Lee", "Northwind")]) == (
        "In Deals (Contoso, Northwind): 2 people\n• Dana Fox, Contoso\n• Bob Lee, Northwind\n"
        "The hub's own account @conclave is in every room, without any device: it cannot read what is said."
    )
    assert "1 person\n" in who(DEALS, [SeenPerson("Bob Lee", "Northwind")])


def test_a_crowd_is_cut_and_counted() -> None:
    text = who(DEALS, [SeenPerson(f"P{number}", "X") for number in range(MAX_PEOPLE + 3)])
    assert text.count("•") == MAX_PEOPLE
    assert "… and 3 more" in text


def test_a_room_that_is_not_is_answered_without_a_hint_of_whether_it_is() -> None:
    assert no_such_room("Deals") == "You are in no room “Deals”. !rules lists the rooms that you are in."
    long = no_such_room("\n\0a" + "b" * 500)
    assert long == f"You are in no room “a{'b' * (MAX_ECHO - 1)}”. !rules lists the rooms that you are in."


def test_who_without_a_room_names_those_that_may_be_asked_for() -> None:
    assert who_usage([SPACE, DEALS]) == "Which room? Write !who and its name. You are in: Deals."
    assert who_usage([]) == "Which room? Write !who and its name. You are in no room yet."


def test_the_rules_of_each_room_in_plain_words() -> None:
    text = rules([SPACE, DEALS, RECORDED])
    assert "Deals (Contoso, Northwind): whoever comes in later cannot read what was said before;" in text
    assert "recorded is who wrote when, never what." in text
    assert "Terms (Contoso, Northwind)" in text
    assert "archived by the member @conclave-recorder; opening it takes two officers" in text
    assert "encrypted end to end" in text
    assert "×" not in text
    assert rules([SPACE]).startswith("You are in no room yet.")


@pytest.mark.parametrize("code", list(Code))
def test_every_refusal_is_explained_with_its_code_and_who_lifts_it(code: Code) -> None:
    text = explain(code.value, "m.room.message", None)
    assert f"Why: {EXPLANATIONS[code].meaning}. The code is {code}." in text
    assert f"Who can lift it: {EXPLANATIONS[code].lifted_by}." in text


def test_an_explanation_names_the_room_and_whom_to_ask_where_the_person_is_in_it() -> None:
    text = explain("INVITE_BY_HUB", "m.room.member/invite", DEALS)
    assert text.startswith("The hub refused something that you tried in Deals (Contoso, Northwind) (inviting somebody)")
    assert "Ask Dana Fox (Contoso)." in text
    assert "Ask" not in explain("PLAINTEXT", "m.room.message", DEALS)


def test_a_code_of_a_newer_guard_is_said_as_it_is() -> None:
    assert explain("BRAND_NEW", "m.x", None) == (
        "The hub refused something that you tried (m.x). The code is BRAND_NEW."
    )
