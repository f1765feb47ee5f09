"""Who attacks: one partnership, a person in every role, and the tokens that somebody might steal."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from config.clock import system_clock
from spaces.gateway import SignedDocument
from spaces.policy.documents import Document, DocumentKind, Record, document_of
from spaces.policy.records import Standing
from spaces.store import DocumentStore
from tests.live import Answer, LiveHub, Scene, User, until

LIMIT = 1_000


@dataclass(slots=True)
class Cast:
    """``bob`` is a member of the partner, ``admin`` its company-admin, ``host`` of the host's team.

    ``vendor`` is of another company with a partnership of its own; ``left`` was in the host's team and was taken out;
    ``suspended`` holds a token from before, with a hub that has not ended it yet; ``signed_out`` one that it has;
    ``held`` is under a legal hold, as is the partnership of ``vendor``; ``bot`` has the hub's own stolen token.
    """

    hub: LiveHub
    scene: Scene
    host: User
    bob: User
    alice: User
    admin: User
    vendor: User
    left: User
    suspended: User
    signed_out: User
    held: User
    bot: User
    held_room: str
    said: Mapping[str, str]

    @property
    def room(self) -> str:
        return self.scene.room

    @property
    def space(self) -> str:
        return self.scene.rooms["space"]

    def at(self, path: str, room: str | None = None) -> str:
        """``path`` below the address of a room."""
        return f"/rooms/{quote(room or self.room, safe='')}{path}"

    def user(self, who: str) -> User:
        found: User = getattr(self, who)
        return found

    def actor(self, who: str) -> dict[str, str]:
        """Who an entry says it was."""
        user = self.user(who)
        return {"system": "conclave"} if user is self.bot else {"person": user.person}


async def push(hub: LiveHub, record: Record) -> None:
    """Straight to the guard, past the hub's database: so nothing of the hub reacts to it."""
    await _put(hub, document_of(record, system_clock() + 1_000_000))


async def take_away(hub: LiveHub, charter: str) -> None:
    """The guard has no charter of that key any more; the hub's database still has."""
    version = system_clock() + 1_000_000
    await _put(hub, Document(kind=DocumentKind.CHARTER, key=charter, version=version, body={}, gone=True))


async def _put(hub: LiveHub, item: Document) -> None:
    signature = hub.hub.keys.document.sign(item.signed_bytes())
    await hub.hub.services.homeserver.put_documents([SignedDocument(document=item, signature=signature)])


async def officer_token(hub: LiveHub) -> str:
    """The credential of a compliance officer."""
    person = await hub.add_person(hub.settings.host.id, sign_in=False)
    await hub.api("POST", "/v1/roles/grant", {"person": person.person, "role": "compliance-officer"})
    issued = await hub.api("POST", "/v1/credentials", {"person": person.person, "device": "officer's"})
    return str(issued["token"])


async def place_hold(hub: LiveHub, **target: str) -> str:
    """A hold; its id."""
    body = {"reason": "case 7", **target}
    answer = await hub.api("POST", "/v1/holds", body, token=await officer_token(hub))
    assert answer["enforced"]
    return str(answer["hold"]["id"])


async def person_with_role(hub: LiveHub, company: str) -> User:
    """A company-admin."""
    name = hub.fresh("admin")
    body = {"company": company, "name": name, "email": f"{name}@{company}.example", "role": "company-admin"}
    link = (await hub.api("POST", "/v1/people", body))["link"]
    return await hub.enrol(link, name)


async def suspend_quietly(hub: LiveHub, user: User) -> None:
    """Tell the guard alone that ``user`` is suspended: the old token stays what it was."""
    async with hub.hub.services.db.read() as connection:
        record = await DocumentStore(connection).person(user.user_id)
    assert record is not None
    await push(hub, replace(record, standing=Standing.SUSPENDED))


async def sign_out(hub: LiveHub, user: User) -> None:
    """Suspend ``user`` as partner managers do, and wait until the old token is gone."""
    await hub.api("POST", f"/v1/people/{user.person}/suspend", {"reason": "test"})

    async def gone() -> bool:
        return (await user.call("GET", "/account/whoami")).status == 401

    await until(gone)


async def gather_cast(hub: LiveHub) -> Cast:
    """A fresh cast."""
    scene = await hub.stage()
    await hub.api("POST", f"/v1/companies/{scene.company}/change", {"max_upload": LIMIT})
    admin = await person_with_role(hub, scene.company)
    held, suspended, signed_out = [await hub.add_person(scene.company) for _ in range(3)]
    left = await hub.add_person(hub.settings.host.id, teams=(scene.team,))
    other = await hub.stage()
    partnership = (await hub.api("GET", f"/v1/rooms/{quote(scene.room, safe='')}"))["engagement"]
    await hub.settled(partnership)
    said = {}
    for name, user, room in (
        ("bob", scene.bob, scene.room), ("held", held, scene.room), ("vendor", other.bob, other.room)
    ):  # fmt: skip
        said[name] = (await user.send_encrypted(room)).body["event_id"]
    await place_hold(hub, person=held.person)
    vendors = (await hub.api("GET", f"/v1/rooms/{quote(other.room, safe='')}"))["engagement"]
    await place_hold(hub, partnership=vendors)
    await hub.api("POST", f"/v1/teams/{scene.team}/leave", {"person": left.person})
    await sign_out(hub, signed_out)
    await suspend_quietly(hub, suspended)
    await hub.settled(partnership)
    return Cast(
        hub=hub, scene=scene, host=scene.host, bob=scene.bob, alice=scene.alice, admin=admin, vendor=other.bob,
        left=left, suspended=suspended, signed_out=signed_out, held=held, held_room=other.room, said=said,
        bot=User(hub, hub.bot, "conclave", hub.state.token("as_token")),
    )  # fmt: skip


async def upload(user: User, size: int) -> Answer:
    """Share a file of ``size`` bytes."""
    url = f"{user.hub.url_for('/_matrix/media/v3/upload')}/_matrix/media/v3/upload"
    headers = {"Authorization": f"Bearer {user.token}", "Content-Type": "application/octet-stream"}
    async with user.hub.session.post(url, data=b"x" * size, headers=headers) as response:
        return Answer(response.status, await response.json(content_type=None))


async def deactivate(user: User) -> Answer:
    """Close one's own account, with one's password."""
    auth: dict[str, Any] = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user.user_id},
        "password": "correct horse battery",
    }
    return await user.call("POST", "/account/deactivate", {"auth": auth, "erase": True})
