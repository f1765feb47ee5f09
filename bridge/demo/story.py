"""The story: a host company, a partner, three people, six forbidden acts, a suspension, and a trail that verifies."""

import asyncio
import json
import shutil
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from audit.files import Folder
from audit.keys import verify_signature
from audit.note import VerifierKey
from audit.parts import VerificationError
from audit.verify import verify_bundle
from bridge.cli.client import HubClient
from bridge.cli.fetching import fetch_bundle
from bridge.demo.committee import committee_chapter
from bridge.demo.people import Plain, Reader, close_all
from bridge.demo.telling import PASSWORD, Narrator, Stage, StoryError, Tally, call, until

MESSAGES = 30


async def tell(stage: Stage, narrator: Narrator) -> int:
    """Tell the whole story; 0 when everything held.

    Raises:
        StoryError: Something did not.
    """
    began, tally, readers = time.monotonic(), Tally(), []
    shutil.rmtree(stage.out, ignore_errors=True)
    stage.out.mkdir(parents=True)
    try:
        narrator.heading("Onboarding")
        readers = await _onboard(stage, narrator)
        narrator.heading("Talking")
        rooms = await _open(stage, narrator, readers)
        await _talk(narrator, tally, readers, rooms["Deals"])
        narrator.heading("Six things that the rules forbid, tried through the plain client-server API")
        await _forbidden(stage, narrator, tally, readers[1], rooms["Deals"])
        await _explained(narrator, readers[1])
        narrator.heading("Shutting somebody out")
        await _suspend(stage, narrator, tally, readers, rooms["Deals"])
        narrator.heading("A committee: vendors pitch, then the buyers clear the room")
        readers += await committee_chapter(stage, narrator, readers[0])
        narrator.heading("The trail")
        await _export(stage, narrator, tally)
    finally:
        await close_all(readers)
    seconds = {**narrator.seconds, "story": round(time.monotonic() - began, 2)}
    summary = {
        "events_sent": tally.events_sent,
        "decrypted_messages": tally.decrypted,
        "refusals": tally.refusals,
        "entries": tally.entries,
        "seconds": seconds,
    }
    (stage.out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    narrator.heading(f"Everything held. {stage.out}/ has the bundle, the log's key and the figures.")
    return 0


async def _onboard(stage: Stage, narrator: Narrator) -> list[Reader]:
    client, host, partner = stage.client, stage.host, stage.partner
    with narrator.step("company", 'company add: partner "Northwind Trading", nobody there can see anyone yet'):
        body = {"id": partner, "name": "Northwind Trading", "kind": "reseller", "seats": 25}
        await call(client.post, "/v1/companies", body)
    cast = [
        ("Dana Fox", f"dana{stage.suffix}@contoso.example", host, [stage.team]),
        ("Bob Lee", f"bob{stage.suffix}@northwind.example", partner, []),
        ("Ann Chu", f"ann{stage.suffix}@northwind.example", partner, []),
    ]
    homeserver = (await call(client.get, "/v1/status"))["homeserver"]
    accounts = []
    with narrator.step("people", "person invite, person enrol: three people choose their user names"):
        for name, email, company, teams in cast:
            body = {"company": company, "name": name, "email": email, "teams": teams}
            link = (await call(client.post, "/v1/people", body))["link"]
            enrolment = {
                "secret": link.rpartition("/")[2],
                "username": name.split()[0].lower() + stage.suffix,
                "password": PASSWORD,
            }
            answer = await call(HubClient(url=client.url, token="").post, "/v1/enrol", enrolment)
            accounts.append((name, answer["user_id"]))
            narrator.quote(f"{name} is {answer['user_id']}")
    with narrator.step("clients", "three matrix-nio clients sign in, each with its own key store"):
        places = [stage.place / name.split()[0] for name, _ in accounts]
        for place in places:
            place.mkdir()
        return await asyncio.gather(
            *(
                Reader.sign_in(homeserver, name, user_id, PASSWORD, place)
                for (name, user_id), place in zip(accounts, places, strict=True)
            )
        )


async def _open(stage: Stage, narrator: Narrator, readers: list[Reader]) -> dict[str, str]:
    with narrator.step(
        "partnership", "partnership open: a Space and three encrypted rooms, everyone concerned in them"
    ):
        body = {"partner": stage.partner, "team": stage.team, "template": "reseller"}
        await call(stage.client.post, "/v1/partnerships", body)
        found = await until(lambda: _settled(stage), "the rooms are not as their charters say")
    rooms = {room["name"]: room["room_id"] for room in found["rooms"]}
    for reader in readers:
        await reader.sync()
        if missing := set(rooms.values()) - reader.client.rooms.keys():
            raise StoryError(f"{reader.name} does not see {len(missing)} of the rooms")
    return rooms


def _settled(stage: Stage) -> dict[str, Any] | None:
    found = stage.client.get(f"/v1/partnerships/{stage.partner}")
    return found if found["settled"] else None


async def _talk(narrator: Narrator, tally: Tally, readers: list[Reader], room_id: str) -> None:
    sent: dict[str, set[str]] = {reader.user_id: set() for reader in readers}
    with narrator.step("talk", f"{MESSAGES} encrypted messages; each client decrypts what the others wrote"):
        for number in range(MESSAGES):
            reader = readers[number % len(readers)]
            event_id = await reader.say(room_id, f"{reader.name}, message {number + 1}")
            if event_id is None:
                raise StoryError(f"message {number + 1} by {reader.name} was refused")
            sent[reader.user_id].add(event_id)
        everything = set().union(*sent.values())
        for reader in readers:
            if not await reader.read_all(everything - sent[reader.user_id]):
                raise StoryError(f"{reader.name} could not decrypt everything")
    tally.events_sent += len(everything)
    tally.decrypted += sum(len(reader.read) for reader in readers)


Act = tuple[str, str, str, str, dict[str, Any]]
"""What is tried, the code of its refusal, and the call: method, path, body."""


def _acts(user_id: str, room_id: str) -> list[Act]:
    room, bot = quote(room_id, safe=""), f"@conclave:{user_id.split(':', 1)[1]}"
    levels = {"users": {user_id: 100}, "users_default": 0}
    return [
        ("make a room of his own", "ROOM_BY_HUB", "POST", "/createRoom", {"name": "Side room"}),
        (
            "invite an outsider",
            "PERSON_UNKNOWN",
            "POST",
            f"/rooms/{room}/invite",
            {"user_id": "@mallory:evil.example"},
        ),
        (
            "write without encryption",
            "PLAINTEXT",
            "PUT",
            f"/rooms/{room}/send/m.room.message/plain",
            {"msgtype": "m.text", "body": "in the clear"},
        ),
        (
            "open the history to all",
            "HISTORY_FIXED",
            "PUT",
            f"/rooms/{room}/state/m.room.history_visibility",
            {"history_visibility": "world_readable"},
        ),
        ("make himself powerful", "POWER_FIXED", "PUT", f"/rooms/{room}/state/m.room.power_levels", levels),
        ("remove the hub's account", "ACCOUNT_PROTECTED", "POST", f"/rooms/{room}/kick", {"user_id": bot}),
    ]


async def _forbidden(stage: Stage, narrator: Narrator, tally: Tally, reader: Reader, room_id: str) -> None:
    acts = _acts(reader.user_id, room_id)
    with narrator.step("forbidden", "all six refused, in words, and recorded"):
        start = (await call(stage.client.get, "/v1/ledger"))["size"]
        async with aiohttp.ClientSession() as session:
            plain = Plain(homeserver=reader.client.homeserver, token=reader.client.access_token, session=session)
            for what, code, method, path, body in acts:
                answer = await plain.call(method, path, body)
                if answer.status != 403 or answer.code != code:
                    raise StoryError(f"{what}: expected 403 {code}, got {answer.status} {answer.code} {answer.text}")
                narrator.quote(f"{what}: “{answer.text}”")
        wanted = {code for _, code, *_ in acts}
        recorded = await until(lambda: _recorded(stage, start, wanted), "the refusals are not in the ledger")
    tally.refusals = recorded


async def _explained(narrator: Narrator, reader: Reader) -> None:
    with narrator.step("helper", f"the helper explained them to {reader.name.split()[0]} in his encrypted chat"):
        explained = await reader.hears("HISTORY_FIXED")
        if not explained:
            raise StoryError("the helper did not explain the refusals")
        narrator.quote(f"“{' '.join(explained.splitlines()[:3])}”")


def _recorded(stage: Stage, start: int, wanted: set[str]) -> int | None:
    """How many refusals the ledger has since ``start``, once each of ``wanted`` is among them."""
    found = stage.client.get("/v1/ledger/entries", start=start, kind="guard.refused", limit=500)["items"]
    codes = [entry["entry"]["data"]["code"] for entry in found]
    return len(codes) if wanted <= set(codes) else None


async def _suspend(stage: Stage, narrator: Narrator, tally: Tally, readers: list[Reader], room_id: str) -> None:
    dana, bob, ann = readers
    with narrator.step("suspend", "person suspend: Bob can no longer send, and leaves every room; the others go on"):
        body = {"reason": "laptop stolen"}
        answer = await call(stage.client.post, f"/v1/people/{quote(bob.user_id, safe='')}/suspend", body)
        if not answer["enforced"]:
            raise StoryError("the suspension is not enforced")
        if await bob.say(room_id, "one more thing") is not None:
            raise StoryError("a suspended person could send")
        await until(lambda: _left(stage, bob.user_id), "the suspended person is still in a room")
        await dana.sync()
        event_id = await dana.say(room_id, "Bob is out; new keys from here on")
        if event_id is None or not await ann.read_all({event_id}):
            raise StoryError("the others cannot go on")
    tally.events_sent += 1
    tally.decrypted += 1


def _left(stage: Stage, user_id: str) -> bool | None:
    rooms = stage.client.get(f"/v1/partnerships/{stage.partner}")["rooms"]
    people = [stage.client.get(f"/v1/rooms/{room['key']}")["people"] for room in rooms]
    return True if not any(user_id in one for one in people) else None


async def _export(stage: Stage, narrator: Narrator, tally: Tally) -> None:
    bundle, vkey = stage.out / "bundle", stage.out / "log.vkey"
    with narrator.step("export", "a compliance officer, another person than the partner manager, exports the trail"):
        officer = await call(_officer, stage)
        order = await call(officer.post, "/v1/exports")
        await call(fetch_bundle, officer, order["entry"], bundle)
        key = (await call(officer.get, "/v1/ledger"))["vkey"]
        vkey.write_text(key + "\n")
    with narrator.step("verify", "audit verify: offline, every file, against the log's key"):
        report = await call(verify_bundle, Folder(bundle), VerifierKey.parse(key), verify_signature)
    tally.entries = report.checkpoint.size
    narrator.quote(f"{report.checkpoint.size} entries: {_most(report.kinds)}")
    with narrator.step("tamper", "one byte changed in a copy: the verifier names the entry"):
        narrator.quote(f"it says: “{await call(_tampered, stage, bundle, key)}”")


def _officer(stage: Stage) -> HubClient:
    email = f"eve{stage.suffix}@contoso.example"
    stage.client.post("/v1/people", {"company": stage.host, "name": "Eve Stone", "email": email})
    stage.client.post("/v1/roles/grant", {"person": email, "role": "compliance-officer"})
    token = stage.client.post("/v1/credentials", {"person": email, "device": "story", "days": 1})["token"]
    return HubClient(url=stage.client.url, token=token)


def _most(kinds: dict[str, int]) -> str:
    ordered = sorted(kinds.items(), key=lambda item: -item[1])[:5]
    return ", ".join(f"{count} {kind}" for kind, count in ordered) + ", …"


def _tampered(stage: Stage, bundle: Path, key: str) -> str:
    """Change one byte of a copy, and return what the verifier says."""
    copy = stage.place / "tampered"
    shutil.copytree(bundle, copy)
    victim = next((copy / "tile" / "entries").rglob("*.p/*"), None) or copy / "tile" / "entries" / "000"
    data = bytearray(victim.read_bytes())
    at = data.index(b"message.sent")
    data[at : at + 7] = b"massage"
    victim.write_bytes(bytes(data))
    try:
        verify_bundle(Folder(copy), VerifierKey.parse(key), verify_signature)
    except VerificationError as error:
        if not error.where.startswith("entry "):
            raise StoryError(f"the verifier did not name the entry: {error}") from None
        return f"{error.where} {error.detail}"
    raise StoryError("the tampered bundle verifies")
