"""The forbidden acts, by role: what is done, what the answer must be, what the ledger must say of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from tests.guard.cast import LIMIT, Cast, deactivate, upload
from tests.live import Answer

ADMIN = "/_synapse/admin"
GUARD = "/_synapse/conclave/v1"
SEALED = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "y"}
CALL = "org.matrix.msc3401.call.member"
OTHER = "another type of event"

Do = Callable[[Cast], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One act.

    ``code`` and ``act`` are those of its entry, and the answer has the code too unless ``unsaid``; an attack without
    a code is refused before the guard is asked, by Synapse itself or a setting, and leaves no entry. ``nameless``:
    Synapse does not tell the guard who it was.
    """

    name: str
    who: str
    do: Do
    code: str = ""
    act: str = ""
    status: int = 403
    errcode: str = "M_FORBIDDEN"
    unsaid: bool = False
    nameless: bool = False

    @property
    def id(self) -> str:
        return f"{self.who}: {self.name}"


def _state(who: str, name: str, event_type: str, content: dict[str, Any], code: str, key: str = "") -> Attack:
    async def do(cast: Cast) -> Answer:
        user = cast.user(who)
        filled = key.format(bob=cast.bob.user_id, alice=cast.alice.user_id, me=user.user_id)
        return await user.set_state(cast.room, event_type, content, filled)

    return Attack(name=name, who=who, do=do, code=code, act=event_type)


def _said(who: str, name: str, event_type: str, content: dict[str, Any], code: str = "PLAINTEXT") -> Attack:
    async def do(cast: Cast) -> Answer:
        return await cast.user(who).send(cast.room, event_type, content)

    return Attack(name=name, who=who, do=do, code=code, act=event_type)


def _member(who: str, name: str, action: str, target: Callable[[Cast], str], code: str, membership: str) -> Attack:
    async def do(cast: Cast) -> Answer:
        body = {"user_id": target(cast)}
        return await cast.user(who).call("POST", cast.at(f"/{action}"), body)

    return Attack(name=name, who=who, do=do, code=code, act=f"m.room.member/{membership}")


def _call(
    who: str, name: str, method: str, path: Callable[[Cast], str], body: Any = None, *, base: str = "/_matrix/client/v3"
) -> Attack:
    async def do(cast: Cast) -> Answer:
        return await cast.user(who).call(method, path(cast), body, base=base)

    return Attack(name=name, who=who, do=do)


def _in_room(who: str) -> list[Attack]:
    """What anybody in a room may try to make of it."""
    return [
        _state(who, "open the history", "m.room.history_visibility", {"history_visibility": "shared"}, "HISTORY_FIXED"),
        _state(who, "open the door", "m.room.join_rules", {"join_rule": "public"}, "JOIN_RULES_FIXED"),
        _state(who, "take power", "m.room.power_levels", {"users_default": 100}, "POWER_FIXED"),
        _state(who, "weaken the encryption", "m.room.encryption", {"algorithm": "none"}, "ENCRYPTION_FIXED"),
        _state(who, "rename the room", "m.room.name", {"name": "Mine"}, "STATE_FIXED"),
        _said(who, "write in the clear", "m.room.message", {"msgtype": "m.text", "body": "secret"}),
        _member(who, "invite another's person", "invite", lambda c: c.vendor.user_id, "PERSON_UNKNOWN", "invite"),
        _member(who, "invite a stranger", "invite", lambda c: "@mallory:evil.example", "PERSON_UNKNOWN", "invite"),
        _member(who, "remove the hub", "kick", lambda c: c.hub.bot, "ACCOUNT_PROTECTED", "leave"),
        _member(who, "ban a member", "ban", lambda c: c.alice.user_id, "MEMBERSHIP_BY_HUB", "ban"),
        replace(
            _call(who, "make a room", "POST", lambda c: "/createRoom", {"name": "mine", "visibility": "public"}),
            code="ROOM_BY_HUB", act="create room",
        ),
        Attack(
            name="give the room an address", who=who, code="ADDRESS_CLOSED", act="make an address",
            do=lambda c: c.user(who).call(
                "PUT", f"/directory/room/{quote(f'#x{who}:{c.hub.settings.homeserver.name}')}", {"room_id": c.room}
            ),
        ),
        replace(
            _call(who, "publish the room", "PUT", lambda c: f"/directory/list/room/{quote(c.room)}",
                  {"visibility": "public"}),
            code="ADDRESS_CLOSED", act="publish a room",
        ),
        replace(
            _call(who, "invite by e-mail", "POST", lambda c: c.at("/invite"), {
                "id_server": "id.example", "id_access_token": "x", "medium": "email", "address": "eve@evil.example"}),
            code="INVITE_BY_EMAIL", act="invite by address", unsaid=True, nameless=True,
        ),
        replace(
            _call(who, "upgrade the room", "POST", lambda c: c.at("/upgrade"), {"new_version": "11"}),
            code="UPGRADE_BY_HUB", act="m.room.tombstone",
        ),
        replace(
            _call(who, "upgrade the room to one of one's own", "POST", lambda c: c.at("/upgrade"),
                  {"new_version": "12"}),
            code="UPGRADE_BY_HUB", act="m.room.create",
        ),
    ]  # fmt: skip


async def _redact_own_membership(cast: Cast) -> Answer:
    path = cast.at(f"/state/m.room.member/{quote(cast.bob.user_id)}?format=event")
    event = (await cast.bob.call("GET", path)).body
    return await cast.bob.call("PUT", cast.at(f"/redact/{quote(event['event_id'])}/m1"), {})


MEMBER = [
    *_in_room("bob"),
    _state("bob", "let guests in", "m.room.guest_access", {"guest_access": "can_join"}, "JOIN_RULES_FIXED"),
    _state("bob", "shut servers out", "m.room.server_acl", {"deny": ["*"]}, "SERVER_ACL_FIXED"),
    _state("bob", "replace the room", "m.room.tombstone", {"body": "x", "replacement_room": "!x"}, "UPGRADE_BY_HUB"),
    _state("bob", "change the topic", "m.room.topic", {"topic": "x"}, "STATE_FIXED"),
    _state("bob", "change the picture", "m.room.avatar", {"url": "mxc://x/y"}, "STATE_FIXED"),
    _state("bob", "pin a message", "m.room.pinned_events", {"pinned": ["$x"]}, "STATE_FIXED"),
    _state("bob", "name an address", "m.room.canonical_alias", {}, "ADDRESS_CLOSED"),
    _state("bob", "an invitation by address", "m.room.third_party_invite", {"x": "e"}, "INVITE_BY_EMAIL", "t"),
    _state("bob", "a widget", "im.vector.modular.widgets", {"url": "https://evil.example"}, "STATE_FIXED", "w"),
    _state("bob", "a child of the Space", "m.space.child", {"via": ["x"]}, "STATE_FIXED", "!x"),
    _state("bob", "somebody else's place in a call", CALL, {}, "STATE_FIXED", "{alice}"),
    _state("bob", "a key with a NUL in a call", CALL, {}, "MALFORMED", "_{me}_\0"),
    _state("bob", "a key with a novel in a call", CALL, {}, "MALFORMED", "_{me}_" + "n" * 250),
    _state("bob", "words in a call", CALL, {"note": "the price is 42"}, "PLAINTEXT", "_{me}_D"),
    _state("bob", "a wide place in a call", CALL, {"memberships": ["x" * 200] * 30}, "PLAINTEXT", "_{me}_D"),
    _said("bob", "a note beside a ciphertext", "m.room.encrypted", {**SEALED, "note": "the price is 42"}),
    _said("bob", "words for a ciphertext", "m.room.encrypted", {**SEALED, "ciphertext": "the price is 42"}),
    _said("bob", "words for a device", "m.room.encrypted", {**SEALED, "device_id": "d" * 12_000}),
    _said("bob", "words in a relation", "m.room.encrypted", {
        **SEALED, "m.relates_to": {"rel_type": "m.thread", "event_id": "$x", "note": "the price is 42"}}),
    _said("bob", "words in a reaction", "m.reaction", {
        "m.relates_to": {"rel_type": "m.annotation", "event_id": "$x", "key": "k", "note": "the price is 42"}}),
    replace(_said("bob", "an unknown type in the clear", "com.example.note", {"body": "secret"}), act=OTHER),
    Attack(name="take back the own name and company", who="bob", code="STATE_FIXED", act="m.room.redaction",
           do=_redact_own_membership),
    Attack(name="talk in the reasons of joining", who="bob", code="PLAINTEXT", act="m.room.member/join",
           do=lambda c: c.bob.call("POST", f"/join/{quote(c.room)}", {"reason": "the price is 42"})),
    Attack(name="words for a picture of oneself", who="bob", do=lambda c: c.bob.call(
        "PUT", f"/profile/{quote(c.bob.user_id)}/avatar_url", {"avatar_url": "mxc://hello/the price is 42"})),
    _said("bob", "clear text beside a ciphertext", "m.room.encrypted", {**SEALED, "body": "secret"}),
    _said("bob", "another algorithm", "m.room.encrypted", {**SEALED, "algorithm": "rot13"}),
    _said("bob", "a reaction with a novel in it", "m.reaction", {
        "m.relates_to": {"rel_type": "m.annotation", "event_id": "$x", "key": "n" * 65}}),
    _said("bob", "a redaction with a novel in it", "m.room.redaction", {"redacts": "$x", "reason": "n" * 251}),
    _member("bob", "invite a colleague who is in", "invite", lambda c: c.host.user_id, "INVITE_BY_HUB", "invite"),
    _member("bob", "remove a member of the host", "kick", lambda c: c.host.user_id, "MEMBERSHIP_BY_HUB", "leave"),
    _member("bob", "ban the hub", "ban", lambda c: c.hub.bot, "ACCOUNT_PROTECTED", "ban"),
    Attack(name="talk in the Space", who="bob", code="SPACE_QUIET", act="m.room.encrypted",
           do=lambda c: c.bob.send_encrypted(c.space)),
    Attack(name="share a file that is too large", who="bob", code="UPLOAD_TOO_LARGE", act="share a file", status=413,
           errcode="M_TOO_LARGE", do=lambda c: upload(c.bob, LIMIT + 1)),
    Attack(name="close the own account", who="bob", code="DEACTIVATION_BY_HUB", act="close an account", unsaid=True,
           do=lambda c: deactivate(c.bob)),
    _call("bob", "change the own name", "PUT", lambda c: f"/profile/{quote(c.bob.user_id)}/displayname",
          {"displayname": "Dana"}),
    _call("bob", "list the accounts as an administrator", "GET", lambda c: "/v2/users", base=ADMIN),
    _call("bob", "push documents to the guard", "PUT", lambda c: "/documents", {"documents": []}, base=GUARD),
    _call("bob", "make the hub's account an administrator", "POST", lambda c: "/status", {}, base=GUARD),
    Attack(name="feed the hub a transaction", who="bob", do=lambda c: c.hub.request(
        "PUT", f"{c.hub.settings.hub.url}/_matrix/app/v1/transactions/1", {"events": []}, token=c.bob.token)),
    Attack(name="feed the hub a refusal", who="bob", do=lambda c: c.hub.request(
        "PUT", f"{c.hub.settings.hub.url}/_conclave/guard/v1/refusals/1", {"refusals": []}, token=c.bob.token)),
]  # fmt: skip

HELD = [
    Attack(name="take back what was said, under a hold on oneself", who="held", code="HELD", act="m.room.redaction",
           do=lambda c: c.held.call("PUT", c.at(f"/redact/{quote(c.said['held'])}/h1"), {})),
    Attack(name="close the own account, under a hold", who="held", code="HELD", act="close an account", unsaid=True,
           do=lambda c: deactivate(c.held)),
    Attack(name="take back what was said, under a hold on the room", who="vendor", code="HELD", act="m.room.redaction",
           do=lambda c: c.vendor.call("PUT", c.at(f"/redact/{quote(c.said['vendor'])}/h2", c.held_room), {})),
    Attack(name="the same as an event", who="vendor", code="HELD", act="m.room.redaction",
           do=lambda c: c.vendor.send(c.held_room, "m.room.redaction", {"redacts": c.said["vendor"]})),
]  # fmt: skip


def _outside(who: str) -> list[Attack]:
    """What somebody tries who is in none of the rooms."""

    def join(name: str) -> Do:
        return lambda c: c.user(who).call("POST", f"/join/{quote(c.scene.rooms[name])}", {})

    return [
        *(
            Attack(name=f"join {name}", who=who, code="COMPANY_NOT_ADMITTED", act="m.room.member/join", do=join(name))
            for name in ("space", "Deals", "General")
        ),
        replace(_call(who, "knock", "POST", lambda c: f"/knock/{quote(c.room)}", {}), code="KNOCK_CLOSED",
                act="m.room.member/knock"),
        _member(who, "invite oneself", "invite", lambda c: c.user(who).user_id, "KNOCK_CLOSED", "invite"),
        _said(who, "send", "m.room.encrypted", dict(SEALED), ""),
    ]  # fmt: skip


STRANGER = [
    *_outside("vendor"),
    *_outside("left"),
    _call("vendor", "read the state", "GET", lambda c: c.at("/state")),
    _call("vendor", "read the messages", "GET", lambda c: c.at("/messages?dir=b")),
    _call("vendor", "read who is in", "GET", lambda c: c.at("/members")),
    _call("vendor", "read an event", "GET", lambda c: c.at(f"/context/{quote(c.said['bob'])}")),
]  # fmt: skip


def _expired(name: str, do: Do) -> Attack:
    return Attack(name=name, who="suspended", do=do, code="PERSON_SUSPENDED", act="use a session", unsaid=True,
                  errcode="ORG_MATRIX_EXPIRED_ACCOUNT")  # fmt: skip


SUSPENDED = [
    _expired("sync", lambda c: c.suspended.call("GET", "/sync?timeout=0")),
    _expired("read the messages", lambda c: c.suspended.call("GET", c.at("/messages?dir=b"))),
    _expired("read the state", lambda c: c.suspended.call("GET", c.at("/state"))),
    _expired("send", lambda c: c.suspended.send_encrypted(c.room)),
    _expired("join", lambda c: c.suspended.call("POST", f"/join/{quote(c.room)}", {})),
    _expired("ask for keys", lambda c: c.suspended.call("POST", "/keys/query", {"device_keys": {c.bob.user_id: []}})),
    _expired("share a file", lambda c: upload(c.suspended, 1)),
    _expired("look people up", lambda c: c.suspended.call("POST", "/user_directory/search", {"search_term": "p"})),
    _expired("list the devices", lambda c: c.suspended.call("GET", "/devices")),
    Attack(name="sign in", who="suspended", code="PERSON_SUSPENDED", act="sign in",
           do=lambda c: c.hub.login(c.suspended.user_id)),
    Attack(name="sign in", who="signed_out", code="PERSON_SUSPENDED", act="sign in",
           do=lambda c: c.hub.login(c.signed_out.user_id)),
    *(
        replace(_call("signed_out", name, method, path, body), status=401, errcode="M_UNKNOWN_TOKEN")
        for name, method, path, body in (
            ("sync", "GET", lambda c: "/sync?timeout=0", None),
            ("join", "POST", lambda c: f"/join/{quote(c.room)}", {}),
            ("read the messages", "GET", lambda c: c.at("/messages?dir=b"), None),
        )
    ),
]  # fmt: skip
