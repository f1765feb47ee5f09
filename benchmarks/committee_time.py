"""What one of many committees costs: twenty with five vendors each, opened and cleared at once, beside one by itself.

The floor is the first committee of an empty hub, alone; the figure of the many is the time for all, by committee. Every
room is looked at: who is in it, and who is not.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from benchmarks.plan import Plan
from benchmarks.report import Row, compare
from benchmarks.stage import CLI_LOOK_S, Api, MeasurementError, call, found, new_site, serving, synapse, until

MANY, VENDORS, BUYERS = 20, 5, 2


async def run(plan: Plan) -> Sequence[Row]:
    """One committee, then many at once, on one hub: letting the vendors in, and clearing the room."""
    many = plan.size(MANY, 2)
    site = new_site(plan.folder("hub"))
    await found(site)
    async with aiohttp.ClientSession() as session, synapse(site), serving(session, site) as api:
        people = await _people(api)
        alone = [await _prepare(api, people, 0)]
        others = [await _prepare(api, people, number) for number in range(1, many + 1)]
        await api.quiet()
        rows = []
        for act, inside in (("start", 1), ("clear", 0)):
            one = await _all(api, alone, act, inside)
            each = await _all(api, others, act, inside) / many
            what = {"start": "let the vendors in", "clear": "clear the room"}[act]
            rows.append(compare(f"{many} committees, {VENDORS} vendors each: {what}", "s", [(each, one)], "one alone"))
        return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """The buyers with their credentials, and one person of each vendor, by company."""

    buyers: dict[str, str]
    vendors: dict[str, str]


async def _people(api: Api) -> People:
    host = api.site.settings.host.id
    buyers = {}
    for number in range(BUYERS):
        user = await api.enrol(host, f"buyer{number}")
        buyers[user] = (await api("POST", "/v1/credentials", {"person": user, "device": "bench"}))["token"]
    vendors = {}
    for number in range(VENDORS):
        await api("POST", "/v1/companies", {"id": f"vendor{number}", "name": f"Vendor {number}"})
        vendors[f"vendor{number}"] = await api.enrol(f"vendor{number}", f"seller{number}")
    return People(buyers=buyers, vendors=vendors)


async def _prepare(api: Api, people: People, number: int) -> str:
    """A committee that is ready to begin."""
    name, buyers = f"tender{number}", list(people.buyers)
    await api("POST", "/v1/committees", {"id": name, "title": name, "chair": buyers[0], "members": buyers})
    for vendor in people.vendors:
        await api("POST", f"/v1/committees/{name}/vendors", {"vendor": vendor})
    for token in people.buyers.values():
        url = f"{api.site.settings.hub.url}/v1/committees/{name}/declare"
        await call(api.session, "POST", url, {"conflict": False}, token)
    await _settled(api, name)
    return name


async def _all(api: Api, names: Sequence[str], act: str, guests: int) -> float:
    """Seconds until every room of all committees is right."""
    began = time.perf_counter()
    await asyncio.gather(*(api("POST", f"/v1/committees/{name}/{act}") for name in names))
    settled = [await _settled(api, name) for name in names]
    seconds = time.perf_counter() - began
    for committee in settled:
        await _check(api, committee, guests)
    return seconds


async def _settled(api: Api, name: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        seen = await api("GET", f"/v1/committees/{name}")
        return seen if seen["settled"] else None

    return await until(look, f"the rooms of {name} as their charters say", every=CLI_LOOK_S)


async def _check(api: Api, committee: dict[str, Any], guests: int) -> None:
    """Each room has the buyers, and a pitch room its own vendor where ``guests`` says so, and nobody else.

    Raises:
        MeasurementError: One has not.
    """
    buyers = {member["user_id"] for member in committee["members"]}
    own = {vendor["pitch"]: f".{vendor['vendor']}:" for vendor in committee["vendors"]}
    for room in committee["rooms"]:
        others = set((await api("GET", f"/v1/rooms/{room['key']}"))["people"]) - buyers
        wanted = guests if room["key"] in own else 0
        if len(others) != wanted or not all(own[room["key"]] in user for user in others):
            raise MeasurementError(f"{room['name']} of {committee['id']} has {others} in it beside the buyers")
