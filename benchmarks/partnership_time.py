"""How long opening a partnership takes, beside the same Matrix calls one after another to a bare Synapse.

Ours: a call of the hub's API until every room is what its charter says, guard and feed included. The floor: the same
creations, joins and state by plain HTTP calls to a Synapse without guard on a copy of the same state directory.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import yaml

from benchmarks.plan import Plan
from benchmarks.report import Aim, Of, Row, compare
from benchmarks.stage import PASSWORD, Api, MeasurementError, Site, call, copy_of, found, new_site, serving, synapse
from spaces.plan import links_of
from spaces.policy.blueprint import creation_content, fixed_state
from spaces.policy.records import Admission, Charter, Recording, RoomKind

HOST_PEOPLE, PARTNER_PEOPLE = 3, 7
ROOMS = ("General", "Deals", "Support")
CLIENT = "/_matrix/client/v3"
ADMIN = "/_synapse/admin"


async def run(plan: Plan) -> Sequence[Row]:
    """Pairs of openings, each with new people; who begins changes from round to round."""
    site = new_site(plan.folder("hub"))
    await found(site)
    async with aiohttp.ClientSession() as session, synapse(site), serving(session, site) as api:
        bare = copy_of(site, plan.folder("bare"))  # the hub's account is there, and an administrator
        async with synapse(bare, modules=[], app_service_config_files=[str(_unconnected(bare))]):
            floor = Loop(session=session, site=bare)
            await _pair(api, floor, 0)
            pairs = [await _pair(api, floor, number) for number in range(1, plan.size(10, 2))]
    aim = Aim(of=Of.RATIO, most=1.25)
    return [compare("open a partnership: 3 rooms, 10 people", "s", pairs, "the same calls in a loop", aim)]


async def _pair(api: Api, floor: "Loop", number: int) -> tuple[float, float]:
    """(ours, floor) in seconds."""
    if number % 2:
        seconds = await floor.open(f"round{number}")
        return await _open(api, number), seconds
    return await _open(api, number), await floor.open(f"round{number}")


async def _open(api: Api, number: int) -> float:
    company, team = f"partner{number}", f"team{number}"
    await api("POST", "/v1/companies", {"id": company, "name": company.title()})
    for person in range(HOST_PEOPLE):
        await api.enrol(api.site.settings.host.id, f"host{number}-{person}", (team,))
    for person in range(PARTNER_PEOPLE):
        await api.enrol(company, f"person{number}-{person}")
    await api.quiet()  # each new person gets a chat with the helper, which is not what is measured here
    began = time.perf_counter()
    await api("POST", "/v1/partnerships", {"partner": company, "team": team, "template": "reseller"})
    found = await api.settled(company)
    seconds = time.perf_counter() - began
    members = {room["members"] for room in found["rooms"]}
    if len(found["rooms"]) != 1 + len(ROOMS) or members != {HOST_PEOPLE + PARTNER_PEOPLE}:
        raise MeasurementError(f"the partnership is not what the floor builds: {found}")
    return seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """The hub's account, calling Synapse and nothing else."""

    session: aiohttp.ClientSession
    site: Site

    async def open(self, name: str) -> float:
        """Seconds for a Space, three rooms, their links, and ten people in each of the four."""
        server = self.site.settings.homeserver.name
        people = [f"@{name}-{number}:{server}" for number in range(HOST_PEOPLE + PARTNER_PEOPLE)]
        for user_id in people:
            await self._call("PUT", f"{ADMIN}/v2/users/{quote(user_id)}", {"password": PASSWORD, "displayname": name})
        began = time.perf_counter()
        space = await self._create(_charter(name, RoomKind.SPACE), None)
        rooms = [await self._create(_charter(room, RoomKind.ROOM), space) for room in ROOMS]
        children = links_of(_charter(name, RoomKind.SPACE), space, list(enumerate(rooms, start=1)), server)
        for (event_type, room_id), content in children.items():
            await self._call(
                "PUT", f"{CLIENT}/rooms/{quote(space)}/state/{quote(event_type)}/{quote(room_id)}", content
            )
        for room_id in (space, *rooms):
            for user_id in people:
                await self._call("POST", f"{ADMIN}/v1/join/{quote(room_id)}", {"user_id": user_id})
        return time.perf_counter() - began

    async def _create(self, charter: Charter, space: str | None) -> str:
        bot = f"@conclave:{self.site.settings.homeserver.name}"
        state = fixed_state(charter, bot)
        if space is not None:
            state |= links_of(charter, space, [], self.site.settings.homeserver.name)
        levels = state.pop(("m.room.power_levels", ""))
        body = {
            "preset": "private_chat",
            "visibility": "private",
            "room_version": charter.room_version,
            "creation_content": creation_content(charter),
            "power_level_content_override": levels,
            "initial_state": [
                {"type": event_type, "state_key": key, "content": content}
                for (event_type, key), content in state.items()
            ],
        }
        return str((await self._call("POST", f"{CLIENT}/createRoom", body))["room_id"])

    async def _call(self, method: str, path: str, body: Any) -> dict[str, Any]:
        return await call(self.session, method, self.site.homeserver + path, body, self.site.state.token("as_token"))


def _charter(name: str, kind: RoomKind) -> Charter:
    return Charter(
        key=name,
        engagement="floor",
        kind=kind,
        name=name,
        topic="As long as the hub's own topics are, more or less.",
        admits=(Admission(company="contoso"),),
        companies=("contoso",),
        recording=Recording.METADATA,
    )


def _unconnected(site: Site) -> Path:
    """The hub's account as an application service to which Synapse sends nothing (specification: ``url`` null)."""
    registration = yaml.safe_load((site.state.homeserver / "appservice.yaml").read_text())
    path = site.state.homeserver / "alone.yaml"
    path.write_text(yaml.safe_dump({**registration, "url": None}))
    return path
