"""Times of committees that come while the hub is dead: the homeserver alone holds to them, and the hub puts it right.

A real Synapse with the guard, and the hub as a process that is killed with SIGKILL before any of the times.
"""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import aiohttp
import pytest

from bridge.app import Hub
from config.clock import Millis, iso, system_clock
from tests.e2e.test_committee import Committee, in_pitch, settled
from tests.faults.processes import Processes, start_processes
from tests.guard.cast import officer_token
from tests.live import Answer, LiveHub, User, until

pytestmark = [pytest.mark.synapse, pytest.mark.long]

SOON_MS = 6_000


@dataclass(frozen=True, slots=True)
class Planned:
    """A committee with the same people as another, whose vendors came in by no hand."""

    name: str
    pitches: dict[str, str]
    """Room ids by vendor."""


async def planned(live: LiveHub, like: Committee) -> Planned:
    """Everything is there, everybody declared; no time is set."""
    name, people = live.fresh("tender"), [buyer.user_id for buyer in like.buyers]
    await live.api("POST", "/v1/committees", {"id": name, "title": name, "chair": people[0], "members": people})
    for guest in (like.vendor[0], like.rival):
        company = (await live.api("GET", f"/v1/people/{guest.person}"))["company"]
        await live.api("POST", f"/v1/committees/{name}/vendors", {"vendor": company})
    for buyer in like.buyers:
        token = (await live.api("POST", "/v1/credentials", {"person": buyer.person, "device": "desk"}))["token"]
        await live.api("POST", f"/v1/committees/{name}/declare", {"conflict": False}, token=token)
    found = await settled(live, name)
    ids = {room["key"]: room["room_id"] for room in found["rooms"]}
    return Planned(name, {vendor["vendor"]: ids[vendor["pitch"]] for vendor in found["vendors"]})


async def say(user: User, room_id: str, session: str) -> Answer:
    """A message of a Megolm session that has this name."""
    content = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "AAAA", "session_id": session}
    return await user.send(room_id, "m.room.encrypted", content)


def no(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.code


async def is_in(user: User, room_id: str) -> bool:
    return room_id in (await user.call("GET", "/joined_rooms")).body["joined_rooms"]


async def passes(at: Millis) -> None:
    """Return when the clock shows ``at``: a time is what these tests are about."""

    async def look() -> bool:
        return system_clock() >= at

    await until(look)


async def test_what_was_planned_happens_without_the_hub(tmp_path: Path) -> None:
    async with start_processes(tmp_path) as processes, aiohttp.ClientSession() as session:
        await processes.start_hub()
        await processes.ready()
        no_hub = cast(Hub, None)  # it is another process
        live = LiveHub(processes.settings, processes.state, no_hub, session, processes.synapse)
        clearing = await in_pitch(live)
        beginning, both = await planned(live, clearing), await planned(live, clearing)
        officer = await officer_token(live)
        assert (await say(clearing.vendor[0], clearing.own, "early")).status == 200
        before = (await say(clearing.buyers[0], clearing.own, "budget")).body["event_id"]
        at = system_clock() + SOON_MS
        for name, times in (
            (clearing.name, {"clear_at": at}),
            (beginning.name, {"pitch_at": at}),
            (both.name, {"pitch_at": at - 1_000, "clear_at": at}),
        ):
            body = {what: iso(time) for what, time in times.items()}
            assert (await live.api("POST", f"/v1/committees/{name}/schedule", body))["enforced"]
        await processes.kill_hub()
        late = (await say(clearing.vendor[0], clearing.own, "early")).body["event_id"]
        assert system_clock() < at, "this machine is too slow for SOON_MS: the test shows nothing"
        await passes(at)
        said = await nothing_moves_but_the_buyers(clearing, before, late)
        await nobody_comes_in(clearing, beginning)
        await nobody_comes_in(clearing, both)
        await processes.start_hub()
        await processes.ready()
        await put_right(live, clearing, beginning, both)
        await recorded_once(processes, clearing, beginning, both)
        await it_is_proven(processes, clearing, officer, tmp_path)
        answer = await clearing.vendor[0].call("GET", f"/rooms/{quote(clearing.own)}/messages?dir=b&limit=100")
        assert before in str(answer.body)
        assert said not in str(answer.body)


async def nothing_moves_but_the_buyers(committee: Committee, before: str, late: str) -> str:
    """The room is cleared, and every vendor is still on its list: nobody but the hub takes people out.

    Returns what the buyers said meanwhile in their own room.
    """
    vendor, colleague = committee.vendor
    chair, own, deliberation = committee.buyers[0], quote(committee.own), committee.rooms["Deliberation"]
    assert await is_in(vendor, committee.own)
    since = (await vendor.call("GET", "/sync?timeout=0")).body["next_batch"]
    reaction = {"m.relates_to": {"rel_type": "m.annotation", "event_id": before, "key": "x"}}
    call = {"application": "m.call", "call_id": "", "device_id": "D", "foci_preferred": []}
    acts = {
        "a message": await say(vendor, committee.own, "late"),
        "a reaction": await vendor.send(committee.own, "m.reaction", reaction),
        "taking back": await vendor.call("PUT", f"/rooms/{own}/redact/{quote(late)}/x", {}),
        "a call": await vendor.set_state(
            committee.own, "org.matrix.msc3401.call.member", call, f"_{vendor.user_id}_D_m.call"
        ),
    }
    assert {what: no(answer) for what, answer in acts.items()} == dict.fromkeys(acts, (403, "NOT_IN_PHASE"))
    invited = await vendor.call("POST", f"/rooms/{own}/invite", {"user_id": colleague.user_id})
    assert invited.status == 403
    for buyer in committee.buyers:
        assert no(await say(buyer, committee.own, "after")) == (403, "ROOM_FROZEN")
        assert no(await buyer.send(committee.own, "m.reaction", reaction)) == (403, "ROOM_FROZEN")
        taken = await buyer.call("PUT", f"/rooms/{own}/redact/{quote(before)}/y", {})
        assert no(taken) == (403, "ROOM_FROZEN")
        read = await buyer.call("GET", f"/rooms/{own}/event/{quote(before)}")
        assert read.status == 200, "it can be read"
    said = await say(chair, deliberation, "apart")
    assert said.status == 200, "the buyers talk on"
    event = said.body["event_id"]
    for room in committee.others:
        for path in (f"event/{quote(event)}", "messages?dir=b", "state", "members", f"context/{quote(event)}"):
            answer = await vendor.call("GET", f"/rooms/{quote(room)}/{path}")
            assert answer.status in (403, 404), (path, answer)
        assert (await vendor.call("POST", f"/join/{quote(room)}", {})).status == 403
    synced = (await vendor.call("GET", f"/sync?timeout=0&since={since}")).body
    assert "rooms" not in synced or "join" not in synced["rooms"], synced
    left = await colleague.call("POST", f"/rooms/{own}/leave", {})
    assert left.status == 200
    back = await colleague.call("POST", f"/join/{own}", {})
    assert back.status == 403, "who leaves does not come back"
    return str(event)


async def nobody_comes_in(people: Committee, committee: Planned) -> None:
    """Vendors come in by the hub: with the time alone they do not, and no buyer brings them in."""
    for guest in (people.vendor[0], people.rival):
        for room in committee.pitches.values():
            for path in (f"/join/{quote(room)}", f"/knock/{quote(room)}"):
                assert (await guest.call("POST", path, {})).status in (403, 404)
            answer = await people.buyers[0].call("POST", f"/rooms/{quote(room)}/invite", {"user_id": guest.user_id})
            assert answer.status == 403, answer
            assert (await guest.call("GET", f"/rooms/{quote(room)}/state")).status == 403


async def put_right(live: LiveHub, clearing: Committee, beginning: Planned, both: Planned) -> None:
    for name, phase in ((clearing.name, "deliberation"), (beginning.name, "pitch"), (both.name, "deliberation")):

        async def look(name: str = name, phase: str = phase) -> bool:
            found = await live.api("GET", f"/v1/committees/{name}")
            return bool(found["settled"] and found["phase"] == phase)

        await until(look, 60)
    for user in (*clearing.vendor, clearing.rival):
        company = (await live.api("GET", f"/v1/people/{user.person}"))["company"]

        async def there(user: User = user, room: str = beginning.pitches[company]) -> bool:
            return await is_in(user, room)

        await until(there)
        assert not await is_in(user, both.pitches[company])
        for room in clearing.rooms.values():
            assert not await is_in(user, room)
        assert (await say(user, beginning.pitches[company], "hello")).status == 200


async def recorded_once(processes: Processes, clearing: Committee, beginning: Planned, both: Planned) -> None:
    def entries(name: str, kind: str) -> list[dict[str, Any]]:
        return [entry for entry in processes.entries(kind) if entry.get("engagement") == name]

    for name, kinds in (
        (clearing.name, {"committee.cleared": 1, "vendor.cleared": 2}),
        (beginning.name, {"committee.started": 1, "committee.cleared": 0}),
        (both.name, {"committee.started": 1, "committee.cleared": 1, "vendor.cleared": 2}),
    ):
        for kind, count in kinds.items():
            found = entries(name, kind)
            assert len(found) == count, (name, kind)
            assert all(entry["actor"] == {"system": "hub"} for entry in found)
            assert all(entry["data"]["timed"] for entry in found if kind != "vendor.cleared")
    assert processes.entries("drift.found") == []


async def it_is_proven(processes: Processes, committee: Committee, officer: str, place: Path) -> None:
    """By the commands that a compliance officer and an auditor would use."""
    vendor = next(
        entry["data"]["vendor"]
        for entry in processes.entries("vendor.cleared")
        if entry["engagement"] == committee.name
        and committee.vendor[0].user_id.partition(".")[2].startswith(entry["data"]["vendor"])
    )
    (place / "officer").write_text(officer)
    out = place / "removal"
    await conclave(processes, place, "audit", "removal", committee.name, vendor, "--out", str(out))
    said = await conclave(processes, place, "audit", "verify", str(out), "--vkey", str(processes.state.log_vkey))
    assert f"VALID. {vendor} was put out of {committee.name}, and nothing from after reached it." in said, said


async def conclave(processes: Processes, place: Path, *words: str) -> str:
    ran = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bridge.cli.main", "--hub", processes.settings.hub.url, *words),
        env={**os.environ, "CONCLAVE_CREDENTIAL_FILE": str(place / "officer")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await ran.communicate())[0].decode()
    assert ran.returncode == 0, said
    return said
