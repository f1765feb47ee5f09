"""What a vendor sees of a committee is the same whether it is the only one that pitches or one of four."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.test_committee import settled
from tests.e2e.told import LOOKS
from tests.helper.conversation import signed_in
from tests.live import LiveHub, User, until

pytestmark = pytest.mark.long

IDS = re.compile(r"[!$][A-Za-z0-9_-]{43}|rm_[a-z0-9]{16}")
"""Ids of rooms and events, keys of charters."""
TIMES = re.compile(r"\b1[0-9]{12}\b")


async def pitched(live: LiveHub, name: str, buyer: User, vendor: str, others: int) -> None:
    """A committee with ``others`` more vendors beside ``vendor``, with one of them before it, up to the pitch."""
    people = [buyer.user_id]
    await live.api("POST", "/v1/committees", {"id": name, "title": name.title(), "chair": people[0], "members": people})
    rivals = [await live.add_company() for _ in range(others)]
    for rival in rivals:
        await live.add_person(rival, sign_in=False)
    for company in (*rivals[:1], vendor, *rivals[1:]):
        await live.api("POST", f"/v1/committees/{name}/vendors", {"vendor": company})
    token = (await live.api("POST", "/v1/credentials", {"person": buyer.person, "device": name}))["token"]
    await live.api("POST", f"/v1/committees/{name}/declare", {"conflict": False}, token=token)
    await settled(live, name)
    await live.api("POST", f"/v1/committees/{name}/start")
    await settled(live, name)


def without_ids(name: str, value: Any) -> Any:
    """``value`` with ids and times, and the committee's own name, put out of sight."""
    text = json.dumps(value, sort_keys=True).replace(name, "NAME").replace(name.title(), "NAME")
    return json.loads(TIMES.sub("0", IDS.sub("ID", text)))


async def seen(user: User, since: str, name: str) -> dict[str, Any]:
    """What a client gets that synced at ``since`` and then when all was over, without what differs by itself."""
    synced = (await user.call("GET", f"/sync?since={since}&timeout={next(LOOKS)}")).body
    rooms = {where: sorted(rooms.values(), key=str) for where, rooms in synced.get("rooms", {}).items()}
    found: dict[str, Any] = without_ids(name, {**synced, "rooms": rooms})
    for room in (room for rooms in found["rooms"].values() for room in rooms):
        room["state"]["events"].sort(key=str)  # it is a set
    for hidden in ("next_batch", "to_device"):
        found.pop(hidden, None)
    left: dict[str, Any] = _without(found, {"prev_batch", "age", "membership_ts"})
    return left


def _without(value: Any, hidden: set[str]) -> Any:
    if isinstance(value, dict):
        return {name: _without(item, hidden) for name, item in value.items() if name not in hidden}
    return [_without(item, hidden) for item in value] if isinstance(value, list) else value


async def story(live: LiveHub, buyer: User, vendor: User, company: str, others: int) -> list[dict[str, Any]]:
    """A client's view in the pitch, after the clearing, and after the end."""
    name, found = live.fresh("tender"), []
    since = (await vendor.call("GET", f"/sync?timeout={next(LOOKS)}")).body["next_batch"]
    await pitched(live, name, buyer, company, others)
    found.append(await seen(vendor, since, name))
    await live.api("POST", f"/v1/committees/{name}/clear")
    await settled(live, name)
    found.append(await seen(vendor, since, name))
    await live.api("POST", f"/v1/committees/{name}/decide", {"winner": company})
    await live.api("POST", f"/v1/committees/{name}/close", {"reason": "over"})
    await settled(live, name)
    found.append(await seen(vendor, since, name))
    return found


async def test_nothing_in_a_vendors_rooms_tells_how_many_there_are(live: LiveHub) -> None:
    company = await live.add_company()
    vendor, buyer = await live.add_person(company), await live.add_person("contoso")
    await live.chat_of(vendor)
    await live.chat_of(buyer)
    alone, among = [await story(live, buyer, vendor, company, others) for others in (0, 3)]
    assert alone[0]["rooms"]["join"], "the vendor saw its room"
    assert alone[1]["rooms"]["leave"]
    for one, other in zip(alone, among, strict=True):
        assert one == other


async def test_what_the_helper_says_does_not_tell_either(live: LiveHub, tmp_path: Path) -> None:
    company = await live.add_company()
    vendor, buyer = await live.add_person(company), await live.add_person("contoso")
    chat, answers = await live.chat_of(vendor), []
    async with signed_in(live, vendor, tmp_path / "vendor") as client:
        assert await client.hears("I am the helper")
        for others in (0, 3):
            name, said = live.fresh("tender"), []
            await pitched(live, name, buyer, company, others)
            room = f"{name.title()}: {company.title()}"
            for command in (
                f"!who {room}",
                "!rules",
                f"!clear {name} yes",
                f"!declare {name} none",
                "!who Deliberation",
            ):
                client.notices.clear()
                await client.say(chat, command)
                await until(lambda: _heard(client))
                said.append(client.notices[-1])
            await live.api("POST", f"/v1/committees/{name}/clear")
            await settled(live, name)
            for command in ("!rules", f"!who {room}"):
                client.notices.clear()
                await client.say(chat, command)
                await until(lambda: _heard(client))
                said.append(client.notices[-1])
            await live.api("POST", f"/v1/committees/{name}/close", {"reason": "over"})
            answers.append(without_ids(name, said))
    assert answers[0] == answers[1]
    assert "2 people" in answers[0][0]


async def _heard(client: Any) -> bool:
    await client.client.sync(timeout=200)
    return bool(client.notices)


async def test_refusals_are_the_same_words_for_who_is_there_and_who_is_not(live: LiveHub) -> None:
    """A vendor that tries people and rooms by guess is answered alike, whether they are of its rivals or of nobody."""
    company = await live.add_company()
    vendor, buyer = await live.add_person(company), await live.add_person("contoso")
    name = live.fresh("tender")
    await pitched(live, name, buyer, company, 1)
    found = await live.api("GET", f"/v1/committees/{name}")
    ids = {room["key"]: room["room_id"] for room in found["rooms"]}
    own = next(ids[item["pitch"]] for item in found["vendors"] if item["vendor"] == company)
    rival = next(item["vendor"] for item in found["vendors"] if item["vendor"] != company)
    (theirs,) = (await live.api("GET", f"/v1/people?company={rival}"))["items"]
    for cleared in (False, True):
        if cleared:
            await live.api("POST", f"/v1/committees/{name}/clear")
            await settled(live, name)
        said = []
        for user in (theirs["user_id"], f"@nobody.{rival}:conclave.test", "@nobody.nowhere:conclave.test"):
            answers = [
                await vendor.call("POST", f"/rooms/{quote(own)}/invite", {"user_id": user}),
                await vendor.call("POST", f"/rooms/{quote(own)}/kick", {"user_id": user}),
                await vendor.call("POST", "/createRoom", {"invite": [user], "is_direct": True}),
                await vendor.call("GET", f"/profile/{quote(user)}"),
            ]
            said.append([(item.status, json.dumps(item.body).replace(user, "USER")) for item in answers])
        assert said[0] == said[1] == said[2]
        rooms = [*(room for room in ids.values() if room != own), "!" + "x" * 43]
        errors = []
        for room in rooms:
            answer = await vendor.call("GET", f"/rooms/{quote(room)}/state")
            errors.append((answer.status, json.dumps(answer.body).replace(room, "ROOM")))
        assert len(set(errors)) == 1, errors


async def test_the_hubs_api_knows_no_vendor(live: LiveHub, proxy: str) -> None:
    """Credentials are for people of the host; with a Matrix token a committee is not told from none."""
    company = await live.add_company()
    vendor, buyer = await live.add_person(company), await live.add_person("contoso")
    name = live.fresh("tender")
    await pitched(live, name, buyer, company, 1)
    issued = await live.request(
        "POST",
        f"{live.settings.hub.url}/v1/credentials",
        {"person": vendor.person, "device": "x"},
        token=live.admin_token,
    )
    assert (issued.status, issued.body["code"]) == (409, "conflict")
    for token in (vendor.token, "", "cvt_x.y"):
        for method, what in (("GET", ""), ("GET", "/timeline"), ("POST", "/clear"), ("POST", "/declare")):
            answers = [
                await live.request(method, f"{proxy}/v1/committees/{which}{what}", {}, token=token)
                for which in (name, "nothing")
            ]
            assert [answer.status for answer in answers] == [401, 401]
            assert answers[0].body == answers[1].body
