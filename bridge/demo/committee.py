"""The story's committee: two vendors pitch, the room is cleared, and the proof of it is verified offline."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from audit.keys import verify_signature
from audit.note import VerifierKey
from audit.proof_check import Trust
from audit.removal_file import verify_removal
from audit.removal_lines import removal_lines
from bridge.cli.client import HubClient
from bridge.cli.removals import write_removal
from bridge.demo.people import Plain, Reader
from bridge.demo.telling import PASSWORD, Narrator, Stage, StoryError, call, until

VENDORS = (("adatum", "Adatum", "Ines Sol"), ("litware", "Litware", "Tom Ray"))


async def committee_chapter(stage: Stage, narrator: Narrator, chair: Reader) -> list[Reader]:
    """Tell it; returns the vendors' people at their clients, for whoever closes them.

    Raises:
        StoryError: Something did not go as the story tells it.
    """
    name = f"crm-2027{stage.suffix}"
    with narrator.step("committee", "committee open, add-vendor, declare: two vendors are asked to pitch"):
        vendors = [await _vendor(stage, *vendor) for vendor in VENDORS]
        own = await _open(stage, name, chair)
    with narrator.step("pitch", "committee start: each vendor sees one room, with the buyers and nobody else"):
        await call(own.post, f"/v1/committees/{name}/start", {})
        rooms = await _rooms(stage, name)
        before = await _pitch(chair, vendors, rooms)
    with narrator.step("answer", "committee answer: both vendors read the same words, and not who had asked"):
        await _answer(own, name, vendors)
    with narrator.step("clear", "committee clear: every vendor is out, the pitch rooms are frozen"):
        await call(own.post, f"/v1/committees/{name}/clear", {})
        await _rooms(stage, name)
        await _deliberate(narrator, chair, vendors[0], rooms, before)
    with narrator.step("removal", "audit removal, audit verify: the proof of it, checked offline"):
        for line in await call(_prove, stage, name):
            narrator.quote(line)
    return vendors


async def _vendor(stage: Stage, company: str, name: str, person: str) -> Reader:
    """A company with one person, at a client."""
    company += stage.suffix
    await call(stage.client.post, "/v1/companies", {"id": company, "name": name, "kind": "supplier"})
    username = person.split(maxsplit=1)[0].lower() + stage.suffix
    body = {"company": company, "name": person, "email": f"{username}@{company}.example"}
    link = (await call(stage.client.post, "/v1/people", body))["link"]
    enrolment = {"secret": link.rpartition("/")[2], "username": username, "password": PASSWORD}
    answer = await call(HubClient(url=stage.client.url, token="").post, "/v1/enrol", enrolment)
    homeserver = (await call(stage.client.get, "/v1/status"))["homeserver"]
    place = stage.place / username
    place.mkdir()
    return await Reader.sign_in(homeserver, person, answer["user_id"], PASSWORD, place)


async def _open(stage: Stage, name: str, chair: Reader) -> HubClient:
    """The committee with its vendors; returns the chair's own way to the hub."""
    credential = {"person": chair.user_id, "device": "story", "days": 1}
    own = HubClient(url=stage.client.url, token=(await call(stage.client.post, "/v1/credentials", credential))["token"])
    body = {"id": name, "title": "CRM 2027", "chair": chair.user_id, "members": [chair.user_id]}
    await call(stage.client.post, "/v1/committees", body)
    for company, *_ in VENDORS:
        await call(own.post, f"/v1/committees/{name}/vendors", {"vendor": company + stage.suffix})
    await call(own.post, f"/v1/committees/{name}/declare", {"conflict": False})
    return own


async def _rooms(stage: Stage, name: str) -> list[str]:
    """The ids of the deliberation room and of each vendor's room, once they are as their charters say."""

    def look() -> dict[str, Any] | None:
        found = stage.client.get(f"/v1/committees/{name}")
        return found if found["settled"] else None

    found = await until(look, "the committee's rooms are not as their charters say")
    ids = {room["key"]: room["room_id"] for room in found["rooms"]}
    return [found["rooms"][1]["room_id"], *(ids[vendor["pitch"]] for vendor in found["vendors"])]


async def _pitch(chair: Reader, vendors: list[Reader], rooms: list[str]) -> str:
    for reader in (chair, *vendors):
        await reader.sync()
    for vendor, room in zip(vendors, rooms[1:], strict=True):
        if set(rooms) & vendor.client.rooms.keys() != {room}:
            raise StoryError(f"{vendor.name} does not see exactly one room of the committee")
    await chair.sync()
    said = await chair.say(rooms[1], "our budget is 1.2 million")
    if said is None or not await vendors[0].read_all({said}):
        raise StoryError(f"{vendors[0].name} could not read what was said in the pitch")
    return said


async def _answer(own: HubClient, name: str, vendors: list[Reader]) -> None:
    """The chair publishes an answer; each vendor reads it in its own room."""
    text = "No data leaves the country."
    await call(own.post, f"/v1/committees/{name}/answers", {"question": "Where is data kept?", "answer": text})
    heard = {await vendor.hears(text) for vendor in vendors}
    if len(heard) != 1 or not heard.pop():
        raise StoryError("the vendors did not read the same answer")


async def _deliberate(narrator: Narrator, chair: Reader, vendor: Reader, rooms: list[str], before: str) -> None:
    """The buyers talk; the vendor, with every key that it ever had, tries to read it."""
    await chair.sync()
    said = await chair.say(rooms[0], "Litware is cheaper")
    if said is None or await chair.say(rooms[1], "one more thing") is not None:
        raise StoryError("the rooms are not as deliberation has them")
    async with aiohttp.ClientSession() as session:
        plain = Plain(homeserver=vendor.client.homeserver, token=vendor.client.access_token, session=session)
        for room, event in ((rooms[0], said), (rooms[1], said)):
            answer = await plain.call("GET", f"/rooms/{quote(room)}/event/{quote(event)}")
            if answer.status not in (403, 404):
                raise StoryError(f"the vendor reads what was said after it left: {answer}")
        back = await plain.call("POST", f"/rooms/{quote(rooms[1])}/join")
    if back.code != "NOT_IN_PHASE" or before not in vendor.read:
        raise StoryError(f"expected NOT_IN_PHASE, got {back}")
    narrator.quote(f"the vendor asks to be let in again: “{back.text}”")


def _prove(stage: Stage, name: str) -> list[str]:
    """Fetch the proof as a compliance officer does, verify it, and return what it shows."""
    email = f"mia{stage.suffix}@contoso.example"
    stage.client.post("/v1/people", {"company": stage.host, "name": "Mia Law", "email": email})
    stage.client.post("/v1/roles/grant", {"person": email, "role": "compliance-officer"})
    token = stage.client.post("/v1/credentials", {"person": email, "device": "story", "days": 1})["token"]
    officer, out = HubClient(url=stage.client.url, token=token), Path(stage.out) / "removal-adatum.tar"
    proof = write_removal(officer, name, f"adatum{stage.suffix}", out)
    key = VerifierKey.parse(officer.get("/v1/ledger")["vkey"])
    report = verify_removal(proof, Trust([key]), None, verify_signature).shows
    if report.findings:
        raise StoryError(f"the removal proof has findings: {report.findings}")
    return removal_lines(report)
