"""``conclave committee`` by hand: what late members get, and what is found of sessions."""

import asyncio
import re

import pytest

from spaces.megolm import GRACE_MS
from tests.cli.test_commands import Run, enrolled, link_in, run  # noqa: F401  # `run` is the fixture
from tests.served import ServedHub

PASSWORD = "correct horse battery"


@pytest.fixture
def chair(run: Run, monkeypatch: pytest.MonkeyPatch, served_hub: ServedHub) -> str:  # noqa: F811  # the fixture
    """The e-mail address of somebody who is enrolled."""
    email = "chair@contoso.example"
    if run("person", "show", email).status == 0:
        return email
    link = run("person", "invite", "--company", "contoso", "--name", "Charly", "--email", email).out
    link = link_in(link).replace("http://127.0.0.1:8090", served_hub.url)
    assert enrolled(run, monkeypatch, link, "charly", PASSWORD).status == 0
    return email


def test_what_late_members_get_is_shown(run: Run, chair: str) -> None:  # noqa: F811  # the fixture
    for name, more, text in (
        ("late-a", ("--late-members", "see-all"), "who joins gets all of the deliberation room from the server"),
        ("late-b", ("--late-members", "from-joining"), "who joins gets what is said from then on"),
        ("late-c", (), "who joins gets what is said from then on"),
    ):
        ran = run("committee", "open", name, "--chair", chair, *more)
        assert ran.status == 0, ran.err
        assert re.search(rf"^late +{text}$", run("committee", "show", name).out, re.MULTILINE)


def test_another_rule_for_late_members_is_used_wrongly(run: Run, chair: str) -> None:  # noqa: F811  # the fixture
    ran = run("committee", "open", "late-d", "--chair", chair, "--late-members", "invited")
    assert ran.status == 2
    assert "see-all" in ran.err
    assert "from-joining" in ran.err
    assert run("committee", "show", "late-d").status == 1


def test_a_reused_session_is_shown(run: Run, chair: str, served_hub: ServedHub) -> None:  # noqa: F811  # the fixture
    assert run("committee", "open", "found", "--chair", chair).status == 0
    assert re.search(r"^findings +none$", run("committee", "show", "found").out, re.MULTILINE)
    rooms = {room["name"]: room["room_id"] for room in run("committee", "show", "found", "--json").data["rooms"]}

    async def reuse() -> None:
        fake, room_id, guest = served_hub.fake, rooms["Deliberation"], "@guest:conclave.test"
        for event_type, content, key in (
            ("m.room.member", {"membership": "join"}, guest),
            ("m.room.encrypted", {"session_id": "s1"}, None),
            ("m.room.member", {"membership": "leave"}, guest),
        ):
            fake.homeserver.backdoor(room_id, fake.homeserver.bot, event_type, content, key)
        fake.clock.now += GRACE_MS
        fake.homeserver.backdoor(room_id, fake.homeserver.bot, "m.room.encrypted", {"session_id": "s1"})

    asyncio.run_coroutine_threadsafe(reuse(), served_hub.loop).result(30)
    while not run("committee", "show", "found", "--json").data["reused_sessions"]:
        pass
    line = r"^findings +1 message that somebody who is out may open: conclave committee timeline found$"
    assert re.search(line, run("committee", "show", "found").out, re.MULTILINE)
    assert re.search(r"session\.reused", run("committee", "timeline", "found").out)
