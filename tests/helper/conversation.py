"""People with real clients, for tests of the helper."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bridge.demo.people import Reader
from bridge.helper.store import HelperStore, Mail, MailKind
from tests.live import PASSWORD, LiveHub, User, until


@asynccontextmanager
async def signed_in(live: LiveHub, user: User, place: Path) -> AsyncIterator[Reader]:
    """A matrix-nio client on a new device, with the empty folder ``place``."""
    place.mkdir()
    reader = await Reader.sign_in(live.homeserver_url, user.person, user.user_id, PASSWORD, place)
    try:
        yield reader
    finally:
        await reader.close()


async def nothing_waits(live: LiveHub, user: User) -> None:
    """Return when the helper has dealt with everything that concerns ``user``."""

    async def look() -> bool:
        async with live.hub.services.db.read() as connection:
            waiting = await HelperStore(connection).due(1 << 60, 10_000)
        return not [mail for mail in waiting if mail.user_id == user.user_id]

    await until(look)


async def tag_is_done(live: LiveHub, tag: str) -> None:
    """Return when the helper has dealt with the mail ``tag``."""

    async def look() -> bool:
        async with live.hub.services.db.read() as connection:
            return tag not in [mail.tag for mail in await HelperStore(connection).due(1 << 60, 10_000)]

    await until(look)


async def put_again(live: LiveHub, user: User, room_id: str, event: dict[str, Any], tag: str) -> None:
    """Have the helper deal with an event once more, as after a crash."""
    mail = Mail(kind=MailKind.MESSAGE, user_id=user.user_id, body=event, tag=tag, at=0, room_id=room_id)
    async with live.hub.services.db.begin() as tx:
        await HelperStore(tx).put([mail])
    live.hub.services.mailbox.arrived.set()
    await tag_is_done(live, tag)


async def sent_by_helper(live: LiveHub, user: User, room_id: str) -> list[dict[str, Any]]:
    """What the helper sent to a room, as a member of it sees it, the newest first."""
    answer = await user.call("GET", f"/rooms/{quote(room_id)}/messages?dir=b&limit=100")
    return [event for event in answer.body["chunk"] if event["sender"] == helper_of(live) and "state_key" not in event]


def helper_of(live: LiveHub) -> str:
    return live.bot.replace("@conclave:", "@conclave-helper:")


async def check(live: LiveHub, name: str) -> dict[str, Any]:
    """One check of ``/readyz``."""
    found: dict[str, Any] = (await live.request("GET", f"{live.settings.hub.url}/readyz")).body["checks"][name]
    return found


async def metric(live: LiveHub, name: str) -> str:
    """The lines of ``/metrics`` that begin with ``name``."""
    async with live.session.get(f"{live.settings.hub.url}/metrics") as response:
        lines = (await response.text()).splitlines()
    return json.dumps([line for line in lines if line.startswith(name)])
