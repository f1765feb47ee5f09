"""Every address of the client-server API, and what keeps another company unseen there.

A call is written with what the probe fills in: ``{room}``, ``{user}`` and so on stand for ids of the other company, of
nobody, or of one's own (``tests.silence.world``); ``{=text}`` stands for ``text`` as it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class By(StrEnum):
    """What closes an address."""

    SETTING = "setting"
    GUARD = "guard"
    MEMBERSHIP = "membership"
    OWN = "own"
    NOTHING = "nothing"
    ABSENT = "absent"
    ADMINISTRATOR = "administrator"
    UNGUESSABLE = "unguessable"
    PROXY = "proxy"
    OPEN = "open"


MEANING: dict[By, str] = {
    By.SETTING: "a setting of Synapse, named",
    By.GUARD: "the guard, in a callback of Synapse's",
    By.MEMBERSHIP: "Synapse itself: only who is in the room gets an answer, and who shares none with a person no news",
    By.OWN: "it is about the caller alone; anybody else's is refused before it is looked at",
    By.NOTHING: "nobody's identifier goes in or comes out",
    By.ABSENT: "not served here",
    By.ADMINISTRATOR: "the hub's account alone is an administrator; the proxy has no way there",
    By.UNGUESSABLE: "a random id of at least 47 bits: the answer differs, but only for who has the id already",
    By.PROXY: "the reverse proxy; without it the answer differs, or the other company is reached",
    By.OPEN: "nothing: open, because …",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One address: the calls, what closes it, and what to send."""

    call: str
    by: By
    note: str = ""
    query: str = ""
    body: Any = None
    who: str = "outsider"  # outsider: a person of company B; passer: another, who may change; nobody: without a token
    oracle: bool = False  # who holds a random id learns that there is such a thing

    def calls(self) -> Iterator[tuple[str, str]]:
        """(method, path) of each."""
        methods, path = self.call.split(" ", 1)
        yield from ((method, path) for method in methods.split("|"))

    def bodies(self, method: str) -> Any:
        """What to send with ``method``."""
        return None if method == "GET" else ({} if self.body is None else self.body)


def _rows(by: By, *calls: str, **more: Any) -> list[Row]:
    return [Row(call=call, by=by, **more) for call in calls]


def _membership_act(act: str, by: By, note: str, body: Any) -> list[Row]:
    calls = (f"POST /rooms/{{room}}/{act}", f"PUT /rooms/{{room}}/{act}/{{txn}}")
    return _rows(by, *calls, note=note, body=body, oracle=True)


_TARGET = {"user_id": "{user}"}
_JOIN = (
    "join rule `invite` and the guard; a room id is a hash of 256 bits, and the answer tells who has it that it is one"
)
_SEALED = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "s", "device_id": "D"}
_NAMES = "enable_set_displayname, and only one's own"

ROOMS: list[Row] = [
    *_rows(
        By.MEMBERSHIP,
        "GET /rooms/{room}/initialSync",
        "GET /rooms/{room}/state",
        "GET|PUT /rooms/{room}/state/{=m.room.name}",
        "GET|PUT /rooms/{room}/state/{=m.room.member}/{user}",
        "GET /rooms/{room}/joined_members",
        "GET /rooms/{room}/aliases",
        "GET /org.matrix.msc2432/rooms/{room}/aliases",
        "GET /rooms/{room}/event/{event}",
        "GET /rooms/{room}/relations/{event}",
        "GET /rooms/{room}/relations/{event}/{=m.annotation}",
        "GET /rooms/{room}/relations/{event}/{=m.annotation}/{=m.reaction}",
        "GET /rooms/{room}/threads",
        "PUT /rooms/{room}/send/{=m.room.encrypted}/{txn}",
        "POST /rooms/{room}/send/{=m.room.encrypted}",
        body=_SEALED,
    ),
    *_rows(By.MEMBERSHIP, "GET /rooms/{room}/context/{event}", "GET /events/{event}", oracle=True),
    *_rows(By.MEMBERSHIP, "GET /rooms/{room}/members", query="membership=join"),
    *_rows(By.MEMBERSHIP, "GET /rooms/{room}/messages", query="dir=b"),
    *_rows(By.MEMBERSHIP, "GET /rooms/{room}/timestamp_to_event", query="ts=0&dir=f"),
    *_rows(By.MEMBERSHIP, "GET /rooms/{room}/hierarchy"),
    *_rows(By.MEMBERSHIP, "GET /room_summary/{room}", "GET /im.nheko.summary/summary/{room}", oracle=True),
    *_rows(By.MEMBERSHIP, "GET /im.nheko.summary/rooms/{room}/summary", oracle=True),
    *_rows(
        By.MEMBERSHIP,
        "POST /rooms/{room}/redact/{event}",
        "PUT /rooms/{room}/redact/{event}/{txn}",
        "POST /rooms/{room}/receipt/{=m.read}/{event}",
        oracle=True,
    ),
    *_rows(By.MEMBERSHIP, "POST /rooms/{room}/read_markers", body={"m.fully_read": "{event}"}, oracle=True),
    *_rows(By.OWN, "PUT /rooms/{room}/typing/{user}", body={"typing": True}),
    *_rows(By.MEMBERSHIP, "POST /rooms/{room}/upgrade", body={"new_version": "12"}, oracle=True),
    *_rows(By.UNGUESSABLE, "POST /join/{room}", "PUT /join/{room}/{txn}", "POST /knock/{room}", note=_JOIN,
           oracle=True),
    *_membership_act("join", By.UNGUESSABLE, _JOIN, {}),
    *_membership_act("leave", By.UNGUESSABLE, _JOIN, {}),
    *_rows(By.UNGUESSABLE, "POST /rooms/{room}/forget", "PUT /rooms/{room}/forget/{txn}", note=_JOIN),
    *_membership_act("invite", By.GUARD, "people are added by the hub alone", _TARGET),
    *_membership_act("ban", By.GUARD, "people are removed by the hub alone", _TARGET),
    *_membership_act("kick", By.GUARD, "people are removed by the hub alone", _TARGET),
    *_membership_act("unban", By.GUARD, "people are removed by the hub alone", _TARGET),
    *_rows(
        By.GUARD,
        "POST /createRoom",
        "PUT /createRoom/{txn}",
        note="DIRECT_NOT_ALLOWED, in the same words for everybody who is in no engagement of one's own",
        body={"invite": ["{user}"], "is_direct": True},
    ),
    *_rows(By.SETTING, "GET|PUT|DELETE /directory/room/{alias}", note="alias_creation_rules: there are no aliases",
           body={"room_id": "{room}"}, oracle=True),
    *_rows(By.SETTING, "GET|PUT /directory/list/room/{room}", note="room_list_publication_rules: none is published",
           body={"visibility": "public"}, oracle=True),
    *_rows(By.ABSENT, "PUT|DELETE /directory/list/appservice/{=network}/{room}", note="for application services alone",
           body={"visibility": "public"}),
    *_rows(By.SETTING, "GET /publicRooms", note="enable_room_list_search: the list is empty", query="limit=50"),
    *_rows(By.SETTING, "POST /publicRooms", note="enable_room_list_search: the list is empty",
           body={"filter": {"generic_search_term": "{name}"}}),
    *_rows(By.SETTING, "POST /search", note="enable_search: off",
           body={"search_categories": {"room_events": {"search_term": "{name}"}}}),
    *_rows(By.SETTING, "POST /rooms/{room}/report", "POST /rooms/{room}/report/{event}",
           note="msc4277_enabled: one answer, whether it exists or not", body={"reason": "x"}),
]  # fmt: skip

PEOPLE: list[Row] = [
    *_rows(By.SETTING, "POST /user_directory/search", body={"search_term": "{localpart}", "limit": 50},
           note="user_directory.search_all_users: only who shares a room is found"),
    *_rows(By.SETTING, "GET /profile/{user}", "GET|PUT|DELETE /profile/{user}/displayname",
           "GET|PUT|DELETE /profile/{user}/avatar_url", "GET|PUT|DELETE /profile/{user}/{=m.tz}",
           note="limit_profile_requests_to_users_who_share_rooms; written is one's own alone",
           body={"displayname": "x", "avatar_url": "", "m.tz": "UTC"}),
    *_rows(By.SETTING, "GET|PUT /presence/{user}/status", note="presence: off", body={"presence": "online"}),
    *_rows(By.MEMBERSHIP, "GET /mutual_rooms", note="the rooms of both: none", query="user_id={user}"),
    *_rows(By.SETTING, "POST /users/{user}/report", note="msc4277_enabled: one answer, whether it exists or not",
           body={"reason": "x"}),
    *_rows(By.SETTING, "POST /keys/query", body={"device_keys": {"{user}": []}},
           note="msc4263_limit_key_queries_to_users_who_share_rooms, with no cache of who did once"),
    *_rows(By.PROXY, "POST /keys/claim", body={"one_time_keys": {"{user}": {"{device}": "signed_curve25519"}}},
           note="which hands it to the guard: only keys of people who share a room are given. Without it a key is "
           "given to who knows the device id (47 random bits)"),
    *_rows(By.MEMBERSHIP, "GET /keys/changes", note="only of people who share a room", query="from=s0&to={now}"),
    *_rows(By.PROXY, "PUT /sendToDevice/{=m.room.encrypted}/{txn}",
           body={"messages": {"{user}": {"{device}": {"x": 1}}}},
           note="which hands it to the guard: only what goes to people who share a room is passed on. Without it the "
           "answer tells nothing, but the message arrives, with the sender's address"),
    *_rows(By.OWN, "POST /keys/signatures/upload", body={"{user}": {"{device}": {"user_id": "{user}"}}},
           note="of another's keys, only one that is not there is said to be not there"),
    *_rows(By.ABSENT, "GET /thirdparty/user", "GET /thirdparty/user/{=matrix}", "GET /thirdparty/protocols",
           "GET /thirdparty/protocol/{=matrix}", note="there is no bridge", query="userid={user}"),
    *_rows(By.ABSENT, "GET /thirdparty/location", "GET /thirdparty/location/{=matrix}", note="there is no bridge",
           query="alias={alias}"),
    *_rows(By.ADMINISTRATOR, "GET /admin/whois/{user}"),
    *_rows(By.ABSENT, "GET|PUT /admin/lock/{user}", "GET|PUT /admin/suspend/{user}", body={"suspended": True}),
]  # fmt: skip

_SESSION = {"first_message_index": 0, "forwarded_count": 0, "is_verified": False, "session_data": {}}

OWN: list[Row] = [
    *_rows(
        By.OWN,
        "GET /user/{user}/filter/{=0}",
        "POST /user/{user}/filter",
        body={"room": {"rooms": ["{room}"]}},
        who="passer",
    ),
    *_rows(By.OWN, "GET|PUT /user/{user}/account_data/{=m.direct}", body={"{user}": ["{room}"]}, who="passer"),
    *_rows(
        By.OWN,
        "GET|PUT /user/{user}/rooms/{room}/account_data/{=m.fully_read_x}",
        "GET /user/{user}/rooms/{room}/tags",
        "PUT|DELETE /user/{user}/rooms/{room}/tags/{=u.x}",
        who="passer",
    ),
    *_rows(By.OWN, "POST /user/{user}/openid/request_token"),
    *_rows(
        By.OWN, "GET|PUT|DELETE /devices/{device}", "POST /delete_devices", body={"devices": ["{device}"]}, who="passer"
    ),
    *_rows(By.OWN, "GET /devices", "GET /pushers", "GET /notifications", "GET /joined_rooms", "GET /account/whoami"),
    *_rows(
        By.OWN,
        "GET /room_keys/version",
        "GET|PUT|DELETE /room_keys/version/{=1}",
        body={"algorithm": "x"},
        who="passer",
    ),
    *_rows(By.OWN, "POST /room_keys/version", body={"algorithm": "m.megolm_backup.v1", "auth_data": {}}, who="passer"),
    *_rows(
        By.OWN,
        "GET|PUT|DELETE /room_keys/keys",
        "GET|PUT|DELETE /room_keys/keys/{room}",
        "GET|PUT|DELETE /room_keys/keys/{room}/{=session}",
        query="version=1",
        body={"rooms": {}, "sessions": {}, **_SESSION},
        who="passer",
    ),
    *_rows(By.OWN, "POST /keys/upload", "POST /keys/device_signing/upload", who="passer"),
    *_rows(By.OWN, "POST /pushers/set", body={"kind": None, "app_id": "a", "pushkey": "{device}"}, who="passer"),
    *_rows(By.OWN, "GET /pushers/remove", query="app_id=a&pushkey={device}"),
    *_rows(By.OWN, "GET|PUT|DELETE /pushrules/{=global/room/}{room}", body={"actions": ["notify"]}, who="passer"),
    *_rows(
        By.OWN,
        "GET /pushrules/",
        "GET /pushrules/global/",
        "GET|PUT|DELETE /pushrules/global/{=sender}/{user}",
        "GET|PUT /pushrules/global/{=sender}/{user}/actions",
        "GET|PUT /pushrules/global/{=sender}/{user}/enabled",
        body={"actions": ["notify"], "enabled": True},
        who="passer",
    ),
    *_rows(By.MEMBERSHIP, "GET /sync", query="timeout=0", note="only one's own rooms, and news of who is in them"),
    *_rows(
        By.MEMBERSHIP,
        "POST /org.matrix.simplified_msc3575/sync",
        note="a room that is not one's own is left out",
        query="timeout=0",
        body={"lists": {}, "room_subscriptions": {"{room}": {"timeline_limit": 5, "required_state": [["*", "*"]]}}},
    ),
    *_rows(By.MEMBERSHIP, "GET /initialSync"),
    *_rows(By.MEMBERSHIP, "GET /events", query="timeout=0&room_id={room}"),
    *_rows(
        By.ABSENT,
        "GET /org.matrix.msc4140/delayed_events",
        "POST|GET /org.matrix.msc4140/delayed_events/{event}",
        "POST /org.matrix.msc4140/delayed_events/{event}/cancel",
        "POST /org.matrix.msc4140/delayed_events/{event}/restart",
        "POST /org.matrix.msc4140/delayed_events/{event}/send",
        note="delayed events are off",
        body={"action": "cancel"},
    ),
]

_WRONG = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "{user}"}, "password": "wrong wrong"}
_MAIL = {"client_secret": "abc", "email": "{email}", "send_attempt": 1, "id_server": "x.example"}
_PHONE = {"client_secret": "abc", "country": "DE", "phone_number": "{phone}", "send_attempt": 1}
_THREEPID = {"medium": "email", "address": "{email}", "sid": "1", "client_secret": "abc", "auth": {}}

ACCOUNTS: list[Row] = [
    *_rows(By.SETTING, "POST /register", who="nobody", note="enable_registration",
           body={"username": "{localpart}", "password": "correct horse battery"}),
    *_rows(By.SETTING, "GET /register/available", who="nobody", query="username={localpart}",
           note="enable_registration"),
    *_rows(By.SETTING, "POST /register/email/requestToken", "POST /account/password/email/requestToken", body=_MAIL,
           who="nobody", note="no e-mail is configured; request_token_inhibit_3pid_errors"),
    *_rows(By.ABSENT, "POST /register/msisdn/requestToken", "POST /account/password/msisdn/requestToken", body=_PHONE,
           who="nobody", note="no telephone service is configured"),
    *_rows(By.SETTING, "GET /register/m.login.registration_token/validity", query="token={localpart}", who="nobody",
           note="enable_registration"),
    *_rows(By.ABSENT, "GET /registration/{=email}/submit_token", who="nobody", note="no e-mail is configured",
           query="token=x&client_secret=abc&sid=1"),
    *_rows(By.GUARD, "POST /login", body=_WRONG, who="nobody",
           note="one answer, and one time, for a wrong password and an unknown user; a suspension is told with the "
           "right password alone. The proxy hands it to the guard, for passwords that are no text: Synapse fails "
           "on them for users who exist"),
    *_rows(By.SETTING, "GET /login", who="nobody", note="password alone"),
    *_rows(By.ABSENT, "POST /login/get_token", note="login_via_existing_session is off"),
    *_rows(By.ABSENT, "GET /login/sso/redirect", "GET /login/sso/redirect/{=oidc}", query="redirectUrl=http://x.example",
           who="nobody", note="no single sign-on is configured"),
    *_rows(By.ABSENT, "GET /auth_metadata", who="nobody", note="no OAuth 2.0"),
    *_rows(By.OWN, "POST /refresh", body={"refresh_token": "x"}, who="nobody"),
    *_rows(By.NOTHING, "GET|POST /auth/{=m.login.password}/fallback/web", query="session=x", who="nobody"),
    *_rows(By.OWN, "GET /account/3pid"),
    *_rows(By.SETTING, "POST /account/3pid", "POST /account/3pid/add", "POST /account/3pid/delete", body=_THREEPID,
           note="enable_3pid_changes"),
    *_rows(By.PROXY, "POST /account/3pid/bind", "POST /account/3pid/unbind",
           note="which has no way there. Without it Synapse asks the identity server that the caller names, about the "
           "caller alone", body={**_THREEPID, "id_server": "x.example", "id_access_token": "x"}),
    *_rows(By.SETTING, "POST /account/3pid/email/requestToken", body=_MAIL, note="enable_3pid_changes"),
    *_rows(By.SETTING, "POST /account/3pid/msisdn/requestToken", body=_PHONE, note="enable_3pid_changes"),
    *_rows(By.ABSENT, "GET /add_threepid/email/submit_token", query="token=x&client_secret=abc&sid=1", who="nobody"),
    *_rows(By.ABSENT, "POST /add_threepid/msisdn/submit_token", who="nobody",
           body={"client_secret": "abc", "sid": "1", "token": "x"}),
    *_rows(By.OWN, "POST /account/password", "POST /account/deactivate", body={"new_password": "x" * 14},
           note="the password, again"),
    *_rows(By.ABSENT, "GET /account_validity/renew", "POST /account_validity/send_mail", query="token=x"),
    *_rows(By.ABSENT, "POST /tokenrefresh"),
    *_rows(By.OWN, "POST /logout", "POST /logout/all", who="passer"),
]  # fmt: skip

_DOWNLOAD = "a media id has 24 random letters (136 bits); what rooms share is ciphertext"

REST: list[Row] = [
    *_rows(By.UNGUESSABLE, "GET /media/download/{server}/{media}", "GET /media/download/{server}/{media}/{=a.png}",
           note=_DOWNLOAD, oracle=True),
    *_rows(By.UNGUESSABLE, "GET /media/thumbnail/{server}/{media}", note=_DOWNLOAD, oracle=True,
           query="width=32&height=32&method=crop"),
    *_rows(By.SETTING, "GET /_matrix/media/download/{server}/{media}",
           "GET /_matrix/media/download/{server}/{media}/{=a.png}", who="nobody", note="enable_authenticated_media",
           oracle=True),
    *_rows(By.SETTING, "GET /_matrix/media/thumbnail/{server}/{media}", note="enable_authenticated_media",
           oracle=True, who="nobody", query="width=32&height=32&method=crop"),
    *_rows(By.UNGUESSABLE, "PUT /_matrix/media/upload/{server}/{media}", body={}, note=_DOWNLOAD, oracle=True),
    *_rows(By.NOTHING, "POST /_matrix/media/create", "POST /_matrix/media/upload", "GET /_matrix/media/config",
           "GET /media/config"),
    *_rows(By.SETTING, "GET /_matrix/media/preview_url", "GET /media/preview_url", note="url_preview_enabled",
           query="url=http://x.example"),
    *_rows(By.NOTHING, "GET /voip/turnServer", "GET /capabilities", "GET /password_policy",
           "GET /_matrix/client/versions"),
    *_rows(By.ABSENT, "POST /appservice/{=conclave}/ping", note="for application services alone"),
    *_rows(By.NOTHING, "GET|POST /.well-known", "GET|POST /.well-known/matrix", "GET|POST /.well-known/matrix/client",
           "GET|POST /.well-known/matrix/server", "GET /.well-known/matrix/support",
           "GET /.well-known/matrix/policy_server", who="nobody"),
    *_rows(By.NOTHING, "GET|POST /_matrix/static", who="nobody"),
    *_rows(By.NOTHING, *(f"GET|POST /_synapse/client/{page}" for page in (
        "media_upload_limit_exceeded", "new_user_consent", "pick_idp", "pick_username", "pick_username/account_details",
        "sso_register", "unsubscribe")), who="nobody", note="pages of a sign-on that is not configured"),
    *_rows(By.OWN, "GET|POST /_synapse/client/pick_username/check", query="username={localpart}", who="nobody",
           note="needs a sign-on session, of which there are none"),
]  # fmt: skip

TABLE: tuple[Row, ...] = (*ROOMS, *PEOPLE, *OWN, *ACCOUNTS, *REST)
ADMIN = "/_synapse/admin/"  # every address below it is probed by its pattern, and closed the same way
