"""What somebody tries who stole the hub's own token: it opens no room, moves nobody, takes nothing away."""

from dataclasses import replace
from typing import Any
from urllib.parse import quote

from tests.guard.attacks import (
    ADMIN,
    GUARD,
    MEMBER,
    STRANGER,
    SUSPENDED,
    Attack,
    _call,
    _in_room,
    _member,
    _said,
    _state,
)
from tests.guard.attacks import HELD as HELD_BY_PEOPLE
from tests.guard.cast import Cast, upload
from tests.live import Answer

KEY = "org.conclave.room"


async def _create(cast: Cast, key: str | None, **more: Any) -> Answer:
    content: dict[str, Any] = {"m.federate": False, **({} if key is None else {KEY: key})}
    return await cast.bot.call("POST", "/createRoom", {"preset": "private_chat", "creation_content": content, **more})


async def _own_key(cast: Cast) -> str:
    return str((await cast.hub.api("GET", f"/v1/rooms/{quote(cast.room, safe='')}"))["key"])


async def _second_room(cast: Cast) -> Answer:
    return await _create(cast, await _own_key(cast))


def _admin(name: str, method: str, path: str, body: Any = None, *, who: str = "", **more: Any) -> Attack:
    """An act through Synapse's admin API; ``{room}`` and the like are put into path and body."""

    async def do(cast: Cast) -> Answer:
        user_id = {"bot": cast.hub.bot}.get(who) or (cast.user(who).user_id if who else "")
        filled = path.format(room=quote(cast.room, safe=""), held=quote(cast.held_room, safe=""), user=quote(user_id))
        return await cast.bot.call(
            method, filled, {**(body or {}), **({"user_id": user_id} if who else {})}, base=ADMIN
        )

    return Attack(name=name, who="bot", do=do, **more)


HUB = [
    Attack(name="make a room without a charter", who="bot", code="CHARTER_MISSING", act="m.room.create",
           do=lambda c: _create(c, None)),
    Attack(name="make a room of a charter that there is not", who="bot", code="CHARTER_MISSING", act="m.room.create",
           do=lambda c: _create(c, "rm_none")),
    Attack(name="make a second room of a charter", who="bot", code="ROOM_EXISTS", act="m.room.create", do=_second_room),
    _state("bot", "open the history", "m.room.history_visibility", {"history_visibility": "shared"}, "HISTORY_FIXED"),
    _state("bot", "open the door", "m.room.join_rules", {"join_rule": "public"}, "JOIN_RULES_FIXED"),
    _state("bot", "give power", "m.room.power_levels", {"users_default": 100}, "POWER_FIXED"),
    _state("bot", "weaken the encryption", "m.room.encryption", {"algorithm": "none"}, "ENCRYPTION_FIXED"),
    _state("bot", "rename the room", "m.room.name", {"name": "Mine"}, "STATE_FIXED"),
    _state("bot", "name an address", "m.room.canonical_alias", {}, "ADDRESS_CLOSED"),
    _state("bot", "let all servers in", "m.room.server_acl", {"allow": ["*"]}, "SERVER_ACL_FIXED"),
    _said("bot", "write in the clear", "m.room.message", {"msgtype": "m.text", "body": "x"}),
    _member("bot", "invite a person of another company", "invite", lambda c: c.vendor.user_id, "COMPANY_NOT_ADMITTED",
            "invite"),
    _member("bot", "invite a stranger", "invite", lambda c: "@mallory:conclave.test", "PERSON_UNKNOWN", "invite"),
    _member("bot", "invite somebody suspended", "invite", lambda c: c.signed_out.user_id, "PERSON_SUSPENDED", "invite"),
    _member("bot", "ban a member", "ban", lambda c: c.bob.user_id, "MEMBERSHIP_BY_HUB", "ban"),
    Attack(name="leave the room alone", who="bot", code="ACCOUNT_PROTECTED", act="m.room.member/leave",
           do=lambda c: c.bot.call("POST", c.at("/leave"), {})),
    Attack(name="take back what a member said", who="bot", code="REDACTION_BY_SENDER", act="m.room.redaction",
           do=lambda c: c.bot.call("PUT", c.at(f"/redact/{quote(c.said['bob'])}/b1"), {})),
    Attack(name="take back what a hold keeps", who="bot", code="HELD", act="m.room.redaction",
           do=lambda c: c.bot.call("PUT", c.at(f"/redact/{quote(c.said['vendor'])}/b2", c.held_room), {})),
    replace(_call("bot", "upgrade the room", "POST", lambda c: c.at("/upgrade"), {"new_version": "12"}),
            code="UPGRADE_BY_HUB", act="m.room.create"),
    replace(_call("bot", "publish the room", "PUT", lambda c: f"/directory/list/room/{quote(c.room)}",
                  {"visibility": "public"}), code="ADDRESS_CLOSED", act="publish a room"),
    Attack(name="share a file", who="bot", code="PERSON_UNKNOWN", act="share a file", do=lambda c: upload(c.bot, 1)),
    _admin("delete an open room", "DELETE", "/v2/rooms/{room}", {"purge": True}, code="ROOM_KEPT", act="delete a room",
           unsaid=True),
    _admin("delete an open room, the old way", "DELETE", "/v1/rooms/{room}", {"purge": True}, code="ROOM_KEPT",
           act="delete a room", unsaid=True),
    _admin("delete a room under a hold", "DELETE", "/v2/rooms/{held}", {"purge": True}, code="HELD",
           act="delete a room", unsaid=True),
    _admin("close an account under a hold", "POST", "/v1/deactivate/{user}", {"erase": True}, who="held", code="HELD",
           act="close an account", unsaid=True),
    _admin("close it in another way", "PUT", "/v2/users/{user}", {"deactivated": True}, who="held", code="HELD",
           act="close an account", unsaid=True),
    _admin("close the hub's own account", "POST", "/v1/deactivate/{user}", {}, who="bot", code="ACCOUNT_PROTECTED",
           act="close an account", unsaid=True),
    _admin("put a person of another company in", "POST", "/v1/join/{room}", who="vendor", code="COMPANY_NOT_ADMITTED",
           act="m.room.member/invite"),
    _call("bot", "act as a person", "GET", lambda c: f"/account/whoami?user_id={quote(c.bob.user_id)}"),
    _call("bot", "push documents to the guard", "PUT", lambda c: "/documents", {"documents": []}, base=GUARD),
]  # fmt: skip

ATTACKS = [
    *MEMBER,
    *_in_room("admin"),
    *_in_room("host"),
    *HELD_BY_PEOPLE,
    *STRANGER,
    *SUSPENDED,
    *HUB,
]
