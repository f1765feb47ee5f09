"""Two companies of one hub without a common engagement: what there is of one, and somebody of the other who looks."""

import asyncio
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.live import LiveHub, User

Ids = Mapping[str, str]
"""What the table's placeholders stand for."""

# A picture of one pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d494844520000000100000001080600000"
    "01f15c4890000000d49444154789c6360606060000000050001a5f645"
    "400000000049454e44ae426082"
)


@dataclass(slots=True)
class World:
    """``known`` is what company A has, ``ghost`` what nobody has, ``own`` what each of those who look has."""

    hub: LiveHub
    alice: User
    outsider: User
    colleague: User
    passer: User
    """A person of company B who loses their sessions."""
    known: Ids
    ghost: Ids
    own: Mapping[str, Ids]
    secrets: list[str] = field(default_factory=list)
    """What of company A must stand in no answer, whatever was asked."""


async def make_world(hub: LiveHub) -> World:
    """Companies A and B, each in a partnership with the same team of the host; A has everything that one can have."""
    team, a, b = hub.fresh("team"), await hub.add_company(), await hub.add_company()
    await hub.add_person(hub.settings.host.id, teams=(team,), sign_in=False)
    alice, outsider, colleague, passer = [await hub.add_person(company) for company in (a, b, b, b)]
    rooms, own_rooms = await asyncio.gather(hub.open_partnership(a, team), hub.open_partnership(b, team))
    known = await furnish(hub, alice, rooms["Deals"])
    lookers = (("outsider", outsider), ("colleague", colleague), ("passer", passer))
    own = {name: await furnish(hub, user, own_rooms["Deals"]) for name, user in lookers}
    return World(
        hub=hub,
        alice=alice,
        outsider=outsider,
        colleague=colleague,
        passer=passer,
        known=known,
        ghost=ghost_of(known),
        own={**own, "nobody": own["outsider"]},
        secrets=[a, a.title(), alice.person.title(), known["user"], known["name"], *rooms.values(), known["event"]],
    )


async def furnish(hub: LiveHub, user: User, room: str) -> dict[str, str]:
    """Have ``user`` do what leaves something behind; what it is called."""
    me = await user.call("GET", "/account/whoami")
    device = me.body["device_id"]
    await upload_keys(user, device)
    sent = await user.send_encrypted(room)
    reaction = {"m.relates_to": {"rel_type": "m.annotation", "event_id": sent.body["event_id"], "key": "x"}}
    await user.send(room, "m.reaction", reaction)
    await user.call("POST", f"/rooms/{quote(room)}/receipt/m.read/{quote(sent.body['event_id'])}", {})
    media = await upload_picture(hub, user)
    await user.call("PUT", f"/profile/{quote(user.user_id)}/avatar_url", {"avatar_url": f"mxc://{media}"})
    name = (await user.call("GET", f"/profile/{quote(user.user_id)}")).body["displayname"]
    localpart = user.user_id[1:].partition(":")[0]
    return {
        "user": user.user_id,
        "localpart": localpart,
        "name": name,
        "room": room,
        "event": sent.body["event_id"],
        "device": device,
        "server": media.partition("/")[0],
        "media": media.partition("/")[2],
        "alias": f"#deals:{hub.settings.homeserver.name}",
        "email": f"{localpart.partition('.')[0]}@{localpart.partition('.')[2]}.example",
        "phone": "0301234567",
    }


async def upload_keys(user: User, device: str) -> None:
    """Keys of a device, and one-time keys to claim; Synapse takes them as they are."""
    body: dict[str, Any] = {
        "device_keys": {
            "user_id": user.user_id,
            "device_id": device,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
            "keys": {f"curve25519:{device}": secrets.token_urlsafe(32), f"ed25519:{device}": secrets.token_urlsafe(32)},
            "signatures": {user.user_id: {f"ed25519:{device}": secrets.token_urlsafe(64)}},
        },
        "one_time_keys": {
            f"signed_curve25519:{secrets.token_hex(4)}": {"key": secrets.token_urlsafe(32), "signatures": {}}
            for _ in range(50)
        },
    }
    answer = await user.call("POST", "/keys/upload", body)
    assert answer.status == 200, answer


async def upload_picture(hub: LiveHub, user: User) -> str:
    """``server/media`` of a picture."""
    headers = {"Authorization": f"Bearer {user.token}", "Content-Type": "image/png"}
    url = f"{hub.homeserver_url}/_matrix/media/v3/upload"
    async with hub.session.post(url, data=PNG, headers=headers) as response:
        found: str = (await response.json())["content_uri"]
    return found.removeprefix("mxc://")


def ghost_of(known: Ids) -> dict[str, str]:
    """Ids of the same form as ``known``, of what never was: the person of the same company, even."""
    server = known["server"]
    nobody = "nobody." + known["localpart"].partition(".")[2]
    return {
        **known,
        "user": f"@{nobody}:{server}",
        "localpart": nobody,
        "name": "Nobody",
        "room": "!" + secrets.token_urlsafe(32),
        "event": "$" + secrets.token_urlsafe(32),
        "device": _letters(10),
        "media": _letters(24),
        "alias": f"#nothing:{server}",
        "email": "nobody@" + known["email"].partition("@")[2],
        "phone": "0307654321",
    }


def _letters(count: int) -> str:
    return "".join(secrets.choice(string.ascii_uppercase) for _ in range(count))
