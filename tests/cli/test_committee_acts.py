"""``conclave committee`` by hand: what is said before a question, who sits on it, and times."""

import asyncio
import io
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import typer

from bridge.cli.client import HubClient
from bridge.cli.output import confirm
from spaces.committee import Member
from tests.cli.test_commands import Run, run  # noqa: F401  # `run` is the fixture
from tests.served import ServedHub

Committee = Callable[..., str]


def there(hub: ServedHub, work: Coroutine[Any, Any, Any]) -> Any:
    """Do ``work`` in the hub's own thread."""
    return asyncio.run_coroutine_threadsafe(work, hub.loop).result(30)


def client_of(hub: ServedHub, person: str) -> HubClient:
    admin = HubClient(url=hub.url, token=hub.token)
    return HubClient(url=hub.url, token=admin.post("/v1/credentials", {"person": person, "device": "x"})["token"])


@pytest.fixture
def opened(served_hub: ServedHub) -> Committee:
    """Opens a committee with a chair who declared, a second member, one enrolled vendor and one of nobody."""

    def make(name: str, *, declared: bool = True) -> str:
        admin = HubClient(url=served_hub.url, token=served_hub.token)
        people = [there(served_hub, served_hub.fake.add_person("contoso", prefix=f"{name}{i}")) for i in (1, 2)]
        admin.post("/v1/committees", {"id": name, "title": name, "chair": people[0], "members": people})
        for vendor in (f"{name}-v", f"{name}-none"):
            admin.post("/v1/companies", {"id": vendor, "name": vendor})
            admin.post(f"/v1/committees/{name}/vendors", {"vendor": vendor})
        there(served_hub, served_hub.fake.add_person(f"{name}-v", prefix=f"{name}v"))
        for person in people if declared else people[:1]:
            client_of(served_hub, person).post(f"/v1/committees/{name}/declare", {"conflict": False})
        return str(people[1])

    return make


def test_nothing_is_asked_that_would_be_refused(run: Run, opened: Committee) -> None:  # noqa: F811  # the fixture
    opened("early")
    for command in (
        ("clear", "early"),
        ("decide", "early", "--winner", "early-v"),
        ("debrief", "early", "early-v"),
        ("answer", "early", "--answer", "No."),
    ):
        ran = run("committee", *command)
        assert ran.status == 1, command
        assert ran.said.startswith("conclave: early is in phase open; "), command
        assert "Not asked" not in ran.said
        assert "Acting as" not in ran.err, "nothing was to be changed yet"


def test_start_asks_and_says_who_is_not_there(run: Run, opened: Committee) -> None:  # noqa: F811  # the fixture
    opened("begun")
    assert run("committee", "schedule", "begun", "--pitch", "2999-02-11T09:00:00+01:00").out == (
        "Vendors in at 2999-02-11 08:00:00 UTC.\n"
    )
    ran = run("committee", "start", "begun")
    assert (ran.status, ran.said.splitlines()) == (
        2,
        [
            "Nobody of begun-none is enrolled, so nobody of it comes. Next: conclave person invite --help",
            "The pitches were to begin at 2999-02-11 08:00:00 UTC; they begin now instead.",
            "conclave: Let 2 vendors in? Not asked off a terminal; say --yes.",
        ],
    )
    ran = run("committee", "start", "begun", "--yes", "--no-wait")
    assert ran.out.startswith("Pitch, each in a room of its own. begun-none: nobody is enrolled; begun-v: ")
    shown = run("committee", "show", "begun").out
    assert "begun-none: nobody is enrolled\n" in shown
    ran = run("committee", "clear", "begun")
    assert "Out of their pitch rooms now: begun-none, begun-v." in ran.said
    ran = run("committee", "close", "begun", "--reason", "x")
    assert ran.said.startswith("Nothing was decided: begun is in phase pitch.\n")
    assert run("committee", "close", "begun", "--reason", "x", "--yes", "--no-wait").status == 0
    assert "nothing: it was closed before" in run("committee", "show", "begun").out
    ran = run("committee", "close", "begun", "--reason", "x", "--yes")
    assert ran.said.startswith("conclave: begun is closed already\n")
    story = run("committee", "timeline", "begun").out
    for text in ("in at 2999-02-11 08:00:00.000", "no conflict", "chair ", "2 members", "x"):
        assert text in story, story


def test_seats(run: Run, opened: Committee) -> None:  # noqa: F811  # the fixture
    second = opened("seats", declared=False)
    ran = run("committee", "start", "seats", "--yes")
    assert f"1 of 2 members has not declared whether there is a conflict of interest: {second}" in ran.said
    assert f"{second}: has not declared" in run("committee", "show", "seats").out
    assert "has not declared" in run("committee", "chair", "seats", second).said
    ran = run("committee", "remove-member", "seats", second)
    assert (ran.status, ran.out) == (0, f"{second} is no member any more, and leaves the rooms of seats.\n")
    assert run("committee", "remove-member", "seats", second).status == 1
    assert "declare" in run("committee", "add-member", "seats", second).out


def test_a_conflict_asks_first(
    run: Run,  # noqa: F811  # the fixture
    served_hub: ServedHub,
    opened: Committee,
) -> None:
    opened("torn")
    ran = run("committee", "declare", "torn", "--conflict", "shares")
    assert ran.said.startswith("conclave: you act as ")
    assert "who is no member of torn" in ran.said
    for options in ((), ("--none", "--conflict", "x"), ("--conflict", " ")):
        ran = run("committee", "declare", "torn", *options)
        assert (ran.status, ran.said.startswith("conclave: ")) == (2, True)
    admin = run("whoami", "--json").data["person"]
    there(served_hub, _seat(served_hub, "torn", admin))
    ran = run("committee", "declare", "torn", "--conflict", "shares")
    assert ran.status == 2
    assert ran.said == (
        "conclave: With a conflict of interest you stay out of torn for good, and do nothing in it. Declare it?"
        " Not asked off a terminal; say --yes.\n"
    )
    assert run("committee", "declare", "torn", "--conflict", "shares", "--yes").out == (
        "Recorded. The rooms stay shut for you.\n"
    )
    ran = run("committee", "start", "torn", "--yes")
    assert ran.said.startswith(
        "conclave: you declared a conflict of interest in torn; who has one does nothing there\n"
    )


async def _seat(hub: ServedHub, committee: str, person: str) -> None:
    """The one who runs the commands, as a member: an administrator has no Matrix account until they enrol."""
    committees = hub.fake.hub.services.committees
    await committees.add_member(committee, Member(person=person, user_id="@admin:hub.test"), actor=person)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--pitch", "tomorrow"), "--pitch 'tomorrow' is no time; expected RFC 3339 with its zone, such as 2027-"),
        (("--clear", "2027-02-11"), "--clear '2027-02-11' lacks its zone; expected RFC 3339 with its zone, such as"),
        ((), "say --pitch TIME or --clear TIME, or both"),
    ],
)
def test_times_that_are_none(run: Run, options: tuple[str, ...], text: str) -> None:  # noqa: F811  # the fixture
    ran = run("committee", "schedule", "none", *options)
    assert (ran.status, ran.said.startswith(f"conclave: {text}")) == (2, True), ran.said
    assert "next: conclave committee schedule --help" in ran.said


def test_what_names_nobody(run: Run) -> None:  # noqa: F811  # the fixture
    for options, text in ((("--members", ",,"), "names nobody"), (("--title", ""), "--title is empty")):
        ran = run("committee", "open", "x", "--chair", "a@b.example", *options)
        assert (ran.status, text in ran.said) == (2, True)


def test_ctrl_c_at_a_question_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(""))
    with pytest.raises(typer.Exit):
        confirm("Close it?", yes=False)
    assert "Nothing was changed." in capsys.readouterr().err
