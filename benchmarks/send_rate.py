"""How many messages a second a room takes, with the guard and without; and with the whole hub behind it.

Synapses side by side on copies of one state directory: the same people, tokens and room, which the hub made; they
differ in their modules and application services. Their rounds alternate.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import aiohttp

from benchmarks.plan import Plan
from benchmarks.report import Aim, Of, Row, compare
from benchmarks.stage import Api, call, copy_of, cpu_seconds, found, new_site, serving, sign_in, synapse

HOST_PEOPLE, PARTNER_PEOPLE = 3, 7
IN_FLIGHT = 16
_ALONE: dict[str, Any] = {"app_service_config_files": []}
OTHERS: dict[str, dict[str, Any]] = {
    "bare": {**_ALONE, "modules": []},
    "gate": {**_ALONE, "modules": [{"module": "benchmarks.open_gate.OpenGate", "config": {}}]},
    "guard": _ALONE,
}
"""What the copies' Synapses are told in place of the generated configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A room, and the access tokens of its people."""

    room_id: str
    tokens: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A Synapse to send to, with its process id; ``api`` where a hub takes what is sent."""

    homeserver: str
    pid: int
    api: Api | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One round: messages a second, and Synapse's processor time for each message in milliseconds."""

    rate: float
    cpu: float


async def run(plan: Plan) -> Sequence[Row]:
    """Rounds of the same number of messages to each Synapse in turn."""
    rounds, count = plan.size(21, 2), plan.size(200, 20)
    site = new_site(plan.folder("hub"))
    await found(site)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as session,
        synapse(site) as pid,
        serving(session, site) as api,
    ):
        room = await _stage(session, api)
        targets = {"hub": Target(homeserver=site.homeserver, pid=pid, api=api)}
        copies = {name: copy_of(site, plan.folder(name)) for name in OTHERS}
        async with AsyncExitStack() as stack:
            for name, copy in copies.items():
                started = await stack.enter_async_context(synapse(copy, **OTHERS[name]))
                targets[name] = Target(homeserver=copy.homeserver, pid=started)
            return _rows(await _rounds(session, targets, room, rounds=rounds, count=count))


def _rows(sent: Mapping[str, Sequence[Sent]]) -> Sequence[Row]:
    rates = {name: [(o.rate, b.rate) for o, b in zip(sent[name], sent["bare"], strict=True)] for name in sent}
    times = {name: [(o.cpu, b.cpu) for o, b in zip(sent[name], sent["bare"], strict=True)] for name in sent}
    aim = Aim(of=Of.RATIO, least=0.95)
    return [
        compare("messages with the guard", "/s", rates["guard"], "no guard", aim),
        compare("… with a module that lets everything through", "/s", rates["gate"], "no guard"),
        compare("… with guard, feed and hub", "/s", rates["hub"], "no guard, no hub"),
        compare("Synapse's CPU a message with the guard", "ms", times["guard"], "no guard"),
        compare("… with a module that lets everything through", "ms", times["gate"], "no guard"),
        compare("… with guard, feed and hub", "ms", times["hub"], "no guard, no hub"),
    ]


async def _stage(session: aiohttp.ClientSession, api: Api) -> Room:
    """A partnership with ten people; everything that came of it is in the ledger."""
    await api("POST", "/v1/companies", {"id": "northwind", "name": "Northwind Trading"})
    names = [f"host{number}" for number in range(HOST_PEOPLE)]
    people = [await api.enrol(api.site.settings.host.id, name, ("north",)) for name in names]
    people += [await api.enrol("northwind", f"partner{number}") for number in range(PARTNER_PEOPLE)]
    await api("POST", "/v1/partnerships", {"partner": "northwind", "team": "north", "template": "reseller"})
    rooms = (await api.settled("northwind"))["rooms"]
    tokens = [await sign_in(session, api.site.homeserver, user_id) for user_id in people]
    return Room(room_id=next(room["room_id"] for room in rooms if room["name"] == "Deals"), tokens=tokens)


async def _rounds(
    session: aiohttp.ClientSession, targets: dict[str, Target], room: Room, *, rounds: int, count: int
) -> dict[str, list[Sent]]:
    """How each round of each target went; who begins changes from round to round."""
    names, sent = list(targets), {name: list[Sent]() for name in targets}
    for name in names:
        await _send(session, targets[name], room, count)  # warms caches up
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            sent[name].append(await _send(session, targets[name], room, count))
    return sent


async def _send(session: aiohttp.ClientSession, target: Target, room: Room, count: int) -> Sent:
    """Send ``count`` messages, 16 at a time; a hub's work on them is waited for, outside the time."""
    before = (await target.api("GET", "/v1/ledger"))["size"] if target.api else 0
    numbers = iter(range(count))
    began, used = time.perf_counter(), cpu_seconds(target.pid)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(IN_FLIGHT):
            tasks.create_task(_client(session, target.homeserver, room, numbers))
    seconds = time.perf_counter() - began
    if target.api:
        await target.api.sequenced(before + count)
    return Sent(rate=count / seconds, cpu=(cpu_seconds(target.pid) - used) * 1_000 / count)


async def _client(session: aiohttp.ClientSession, homeserver: str, room: Room, numbers: Iterator[int]) -> None:
    url = f"{homeserver}/_matrix/client/v3/rooms/{quote(room.room_id)}/send/m.room.encrypted"
    for number in numbers:
        transaction = uuid4().hex
        content = _sealed(transaction)
        await call(session, "PUT", f"{url}/{transaction}", content, room.tokens[number % len(room.tokens)])


def _sealed(text: str) -> dict[str, Any]:
    """What looks like a message that only its readers can open; two that are alike would be one event to Synapse."""
    return {
        "algorithm": "m.megolm.v1.aes-sha2",
        "ciphertext": text * 12,
        "session_id": "s" * 43,
        "device_id": "DEVICE",
        "sender_key": "k" * 43,
    }
