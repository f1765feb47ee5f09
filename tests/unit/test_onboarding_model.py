"""Companies, people and invitations: what may be a name, and when a link may be used."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import InvalidInputError
from partner_onboarding.model import (
    MAX_NAME,
    MAX_PASSWORD,
    MIN_PASSWORD,
    RESERVED,
    Company,
    CompanyKind,
    Invitation,
    InvitationError,
    Person,
    PersonRole,
    PersonStatus,
    check_email,
    check_identifier,
    check_name,
    check_password,
    matrix_user_id,
)
from spaces.policy.records import CompanyRecord, PersonRecord, Standing

NOW = 1_000_000
COMPANY = Company(
    id="northwind",
    name="Northwind Trading",
    kind=CompanyKind.RESELLER,
    external_id=None,
    suspended=False,
    seats=None,
    not_after=NOW,
    added_at=0,
)
PERSON = Person(
    id="prs_b",
    company="northwind",
    name="Bob Lee",
    email="bob@northwind.example",
    role=PersonRole.MEMBER,
    user_id="@bob.northwind:hub",
    suspended=False,
    invited_at=0,
    enrolled_at=1,
)
LINK = Invitation(id="inv_1", person="prs_b", secret_hash=b"x", expires_at=NOW)


# --- what the policy gets to know


@pytest.mark.parametrize(("suspended", "standing"), [(False, Standing.ACTIVE), (True, Standing.SUSPENDED)])
def test_the_policy_learns_who_is_shut_out(suspended: bool, standing: Standing) -> None:
    assert replace(COMPANY, suspended=suspended).record() == CompanyRecord(
        company="northwind", name="Northwind Trading", standing=standing, not_after=NOW
    )
    teams = frozenset({"sales"})
    assert replace(PERSON, suspended=suspended).record(teams) == PersonRecord(
        user_id="@bob.northwind:hub", person="prs_b", company="northwind", standing=standing, teams=teams
    )


def test_one_who_has_not_enrolled_is_nobody_to_the_policy() -> None:
    assert replace(PERSON, user_id=None).record(frozenset()) is None


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, PersonStatus.ACTIVE),
        ({"user_id": None}, PersonStatus.INVITED),
        ({"suspended": True}, PersonStatus.SUSPENDED),
        ({"suspended": True, "user_id": None}, PersonStatus.SUSPENDED),
    ],
)
def test_where_a_person_is_on_the_way(changes: dict[str, Any], status: PersonStatus) -> None:
    assert replace(PERSON, **changes).status is status


# --- links


def test_a_link_is_good_until_the_millisecond_it_expires() -> None:
    LINK.check(NOW - 1)
    for now in (NOW, NOW + 1):
        with pytest.raises(InvitationError) as error:
            LINK.check(now)
        assert error.value.message == "this link has expired"
        assert error.value.hint == "ask the person who invited you for a new one"


def test_a_link_that_was_used_or_replaced_says_so_even_when_it_expired() -> None:
    for now in (0, NOW):
        with pytest.raises(InvitationError) as error:
            replace(LINK, closed_at=5).check(now)
        assert error.value.message == "this link was used already, or replaced by a newer one"
        assert error.value.hint == "ask the person who invited you for a new one"


# --- identifiers

GOOD_IDS = ["a", "contoso", "partner-north", "a1", "x" * 40, "a-"]
BAD_IDS = ["", "A", "1a", "-a", "a_b", "a.b", "a b", "ä", "x" * 41, "a\n", "аcme", "a٣"]


@pytest.mark.parametrize("value", GOOD_IDS)
def test_a_good_id_is_left_as_it_is(value: str) -> None:
    assert check_identifier(value, "company") == value


@pytest.mark.parametrize("value", BAD_IDS)
def test_a_bad_id_is_refused_in_words(value: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        check_identifier(value, "team")
    assert error.value.message == (
        f"team {value!r}: expected 1 to 40 lower-case letters, digits and hyphens, a letter first"
    )
    assert error.value.field == "team"


# --- names


@pytest.mark.parametrize(("value", "name"), [(" Bob Lee ", "Bob Lee"), ("Ünal & Söhne × 李", "Ünal & Söhne × 李")])
def test_a_good_name_loses_its_margins(value: str, name: str) -> None:
    assert check_name(value, "name") == name
    assert check_name("x" * MAX_NAME, "name") == "x" * MAX_NAME


@pytest.mark.parametrize("value", ["", "  ", "x" * (MAX_NAME + 1), "a\nb", "a\0b", "a\u202eb", "a\u200bb", "\ud800"])
def test_a_bad_name_is_refused_in_words(value: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        check_name(value, "name")
    assert error.value.message == f"name {value!r}: expected 1 to {MAX_NAME} printable characters"


# --- addresses


def test_a_good_address_is_written_small() -> None:
    assert check_email(" Bob.Lee+x@Northwind.Example ") == "bob.lee+x@northwind.example"


@pytest.mark.parametrize(
    "value",
    [
        *("", "bob", "bob@northwind", "@northwind.example", "bob@", "a b@c.example", "a@b@c.example", "a@c.example."),
        *("a@.", "x" * 250 + "@c.example"),
    ],
)
def test_a_bad_address_is_refused_in_words(value: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        check_email(value)
    assert error.value.message == f"email {value!r} is not an address such as bob@northwind.example"
    assert error.value.field == "email"


# --- user ids


def test_a_user_id_has_the_company_in_it() -> None:
    assert matrix_user_id(" Bob ", "northwind", "hub.test") == "@bob.northwind:hub.test"


@pytest.mark.parametrize(
    "value", ["", ".bob", "bob.", "-", "bob lee", "bob:x", "@bob", "böb", "x" * 33, "bob/x", "b=c"]
)
def test_a_bad_user_name_is_refused_in_words(value: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        matrix_user_id(value, "northwind", "hub.test")
    assert error.value.message == (
        f"user name {value!r}: expected 1 to 32 letters, digits, dots, hyphens, beginning and ending with a letter or"
        " digit"
    )
    assert error.value.field == "username"


_usernames = st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,8}[a-z0-9])?", fullmatch=True).filter(
    lambda name: ".." not in name and not name.startswith("conclave") and name not in RESERVED
)
_companies = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)


@given(_usernames, _companies, _usernames, _companies)
def test_two_companies_never_want_the_same_user_id(one: str, its: str, other: str, others: str) -> None:
    same = matrix_user_id(one, its, "hub.test") == matrix_user_id(other, others, "hub.test")
    assert same == ((one, its) == (other, others))


@given(_usernames, _companies)
def test_nobody_gets_the_hubs_own_account(username: str, company: str) -> None:
    assert matrix_user_id(username, company, "hub.test") != "@conclave:hub.test"


# --- passwords


def test_a_password_is_long_and_not_absurdly_long() -> None:
    for length in (MIN_PASSWORD, MAX_PASSWORD):
        assert check_password("x" * length) == "x" * length
    for length in (0, MIN_PASSWORD - 1, MAX_PASSWORD + 1):
        with pytest.raises(InvalidInputError) as error:
            check_password("s3cret" * 100 if length > MAX_PASSWORD else "s3cret"[:length])
        assert "s3cret" not in str(error.value)
        assert error.value.field == "password"


def test_the_text_says_how_long_and_never_the_password() -> None:
    with pytest.raises(InvalidInputError) as error:
        check_password("hunter2")
    assert error.value.message == "password: expected at least 12 characters"
