"""The guard: a Synapse module that lets no event through that a charter forbids. The only file that imports Synapse.

It runs in every Synapse process. What it decides on, charters and roster, it takes as signed documents from the hub,
keeps in Synapse's database and caches in memory; Synapse's replication tells the other processes what changed. What it
refuses it counts in Synapse's database and delivers to the hub. It works the same while the hub is down.
"""

import base64
import hmac
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast
from uuid import uuid4

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from synapse.module_api import (
    NOT_SPAM,
    CachedFunction,
    DirectServeJsonResource,
    EventBase,
    ModuleApi,
    Requester,
    StateMap,
    SynapseRequest,
    parse_json_object_from_request,
)
from synapse.module_api.errors import Codes, ConfigError, SynapseError

from bridge import guard_store as store
from spaces.policy.blueprint import ROOM_KEY
from spaces.policy.decide import decide
from spaces.policy.documents import (
    READERS,
    Document,
    DocumentError,
    DocumentKind,
    Record,
    parse_document,
)
from spaces.policy.records import Charter, CompanyRecord, MappingRoster, PersonRecord
from spaces.policy.refusal import Code, Refusal
from spaces.policy.rules import EventRequest, refuse_account

PATH = "/_synapse/conclave/v1"
PREVIOUS = "org.conclave.prev"
CODE_FIELD = "org.conclave.code"
DELIVERY_MS = 500
_CREATE = ("m.room.create", "")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardConfig:
    """The module's ``config`` in ``homeserver.yaml``."""

    bot: str
    hub_url: str
    token: str
    document_key: Ed25519PublicKey


class Guard:
    """Registers with Synapse what the charters need; see ``docs/adr/0005``."""

    def __init__(self, config: GuardConfig, api: ModuleApi) -> None:
        self._config = config
        self._api = api
        self._records = _Records(api)
        self._ready = False
        self.instance = uuid4().hex
        api.register_third_party_rules_callbacks(
            check_event_allowed=self.check_event_allowed, on_create_room=self.on_create_room
        )
        api.register_spam_checker_callbacks(check_login_for_spam=self.check_login_for_spam)
        api.register_add_extra_fields_to_unsigned_client_event_callbacks(
            add_field_to_unsigned_callback=_previous_events
        )
        api.register_cached_function(cast(CachedFunction[Any], self._records))
        for name, resource in (("documents", _Documents), ("rooms", _Rooms), ("status", _Status)):
            api.register_web_resource(f"{PATH}/{name}", resource(self))
        if api.should_run_background_tasks():
            api.looping_background_call(self._deliver, DELIVERY_MS, desc="conclave_deliver")

    @staticmethod
    def parse_config(config: dict[str, Any]) -> GuardConfig:
        """Check the module's configuration.

        Raises:
            ConfigError: A key is missing or does not fit; Synapse does not start.
        """
        try:
            return GuardConfig(
                bot=config["bot"],
                hub_url=config["hub_url"].rstrip("/"),
                token=Path(config["token_file"]).read_text().strip(),
                document_key=Ed25519PublicKey.from_public_bytes(base64.b64decode(config["document_key"])),
            )
        except (KeyError, OSError, ValueError, AttributeError) as error:
            raise ConfigError(f"conclave guard: {type(error).__name__}: {error}") from error

    # --- what Synapse asks

    async def check_event_allowed(self, event: EventBase, state: StateMap[EventBase]) -> tuple[bool, None]:
        """Synapse's question before it takes an event: ``(True, None)`` or a 403 with our sentence and code."""
        act = f"{event.type}/{event.content.get('membership')}" if _is_membership(event) else event.type
        try:
            refusal, charter = await self._judge(event, state)
        except SynapseError:
            raise
        except Exception:  # in doubt, no: a crash of any rule refuses
            logger.exception("conclave guard: a rule failed on %s in %s", event.type, event.room_id)
            refusal, charter = Refusal(Code.GUARD_FAILED, "this could not be checked, so it is refused"), None
        if refusal is not None:
            await self._refuse(refusal, charter, actor=event.sender, room=event.room_id, act=act)
        return True, None

    async def on_create_room(self, requester: Requester, config: dict[str, Any], is_admin: bool) -> None:
        """Refuse a user's room before anything of it exists; server admins are no exception."""
        del config, is_admin
        user = requester.user.to_string()
        if user != self._config.bot:
            refusal = Refusal(Code.ROOM_BY_HUB, "rooms are made by the hub, for an engagement")
            await self._refuse(refusal, None, actor=user, room="", act="create room")

    async def check_login_for_spam(
        self, user_id: str, device_id: str | None, display_name: str | None, addresses: object, provider: str | None
    ) -> Literal["NOT_SPAM"]:
        """Only people in good standing may sign in."""
        del device_id, display_name, addresses, provider
        try:
            roster = await self._roster(user_id)
            refusal = refuse_account(user_id, roster, _now())
        except Exception:  # in doubt, no
            logger.exception("conclave guard: the sign-in of %s could not be checked", user_id)
            refusal = Refusal(Code.GUARD_FAILED, "this could not be checked, so it is refused")
        if refusal is not None:
            await self._refuse(refusal, None, actor=user_id, room="", act="sign in")
        return NOT_SPAM

    # --- judging and refusing

    async def _judge(self, event: EventBase, state: StateMap[EventBase]) -> tuple[Refusal | None, Charter | None]:
        create = event if (event.type, event.get("state_key")) == _CREATE else state.get(_CREATE)
        key = create.content.get(ROOM_KEY) if create is not None else None
        charter = await self._charter(key) if isinstance(key, str) else None
        request = EventRequest(
            sender=event.sender, type=event.type, content=_plain(event.content), state_key=event.get("state_key")
        )
        roster = await self._roster(event.sender, *([event.state_key] if _is_membership(event) else []))
        refusal = decide(request, charter, roster, _now(), self._config.bot)
        if refusal is None and create is event and charter is not None:
            refusal = await self._claim(charter, event.room_id)
        return refusal, charter

    async def _claim(self, charter: Charter, room_id: str) -> Refusal | None:
        """Bind the charter to the room being created; a second room for one charter is refused."""
        await self.ready()
        bound = await self._api.run_db_interaction("conclave_claim", store.claim_room, charter.key, room_id, _now())
        if bound == room_id:
            return None
        return Refusal(Code.ROOM_EXISTS, f"the charter {charter.key} has its room already")

    async def _refuse(self, refusal: Refusal, charter: Charter | None, *, actor: str, room: str, act: str) -> None:
        """Count the refusal, then tell the client; a failure to count is logged and the act still refused."""
        refused = store.RefusedAct(actor=actor, room=room, code=refusal.code.value, act=act)
        try:
            await self.ready()
            await self._api.run_db_interaction("conclave_refusal", store.record_refusal, refused, _now())
        except Exception:  # the refusal stands without its record
            logger.exception("conclave guard: a refusal could not be recorded: %s", refused)
        raise SynapseError(
            403,
            refusal.text(charter.contact if charter is not None else ""),
            Codes.FORBIDDEN,
            additional_fields={CODE_FIELD: refusal.code.value},
        )

    # --- charters and roster

    async def _charter(self, key: str) -> Charter | None:
        return cast(Charter | None, await self._record(DocumentKind.CHARTER, key))

    async def _roster(self, *user_ids: str) -> MappingRoster:
        people: dict[str, PersonRecord] = {}
        companies: dict[str, CompanyRecord] = {}
        for user_id in user_ids:
            person = cast(PersonRecord | None, await self._record(DocumentKind.PERSON, user_id))
            if person is None:
                continue
            people[user_id] = person
            company = cast(CompanyRecord | None, await self._record(DocumentKind.COMPANY, person.company))
            if company is not None:
                companies[person.company] = company
        return MappingRoster(companies=companies, people=people)

    async def _record(self, kind: DocumentKind, key: str) -> Record | None:
        if not self._ready:
            await self.ready()
        known = self._records.get(kind, key)
        return await self._records.load(kind, key) if isinstance(known, _Missing) else known

    async def ready(self) -> None:
        """Return when the guard's tables exist."""
        if not self._ready:
            with suppress(Exception):  # PostgreSQL refuses one of two who do it at once; the call below tells
                await self._api.run_db_interaction("conclave_tables", store.create_tables)
            await self._api.run_db_interaction("conclave_tables", store.create_tables)
            self._ready = True

    # --- what the hub asks; see the resources below

    def authenticate(self, request: SynapseRequest) -> None:
        """Return when ``request`` carries the hub's token.

        Raises:
            SynapseError: It does not (403).
        """
        given = (request.getHeader(b"Authorization") or b"").removeprefix(b"Bearer ")
        if not given or not hmac.compare_digest(given, self._config.token.encode()):
            raise SynapseError(403, "this is for the hub only", Codes.FORBIDDEN)

    async def put_documents(self, items: list[Any]) -> int:
        """Check, store and announce signed documents, all or none; returns how many were new.

        Raises:
            SynapseError: A signature or form is wrong (400), or a version is not newer (409).
        """
        documents = [self._signed(item) for item in items]
        await self.ready()
        try:
            changed = await self._api.run_db_interaction("conclave_documents", store.store_documents, documents)
        except store.StaleDocumentError as error:
            raise SynapseError(409, str(error), Codes.INVALID_PARAM) from None
        for kind, key in changed:
            await self._api.invalidate_cache(cast(CachedFunction[Any], self._records), (kind, key))
        return len(changed)

    def _signed(self, item: Any) -> Document:
        try:
            document = parse_document(item["document"])
            signature = base64.b64decode(item["signature"], validate=True)
            self._config.document_key.verify(signature, document.signed_bytes())
        except (DocumentError, KeyError, TypeError, ValueError, InvalidSignature) as error:
            reason = str(error) or type(error).__name__
            raise SynapseError(400, f"not a document signed by the hub: {reason}", Codes.INVALID_PARAM) from None
        return document

    async def claimed_room(self, key: str) -> str | None:
        """The room that the charter ``key`` is bound to."""
        await self.ready()
        return await self._api.run_db_interaction("conclave_room", store.claimed_room, key)

    async def release_room(self, key: str, room_id: str) -> bool:
        """Unbind a room whose creation failed."""
        await self.ready()
        return await self._api.run_db_interaction("conclave_release", store.release_room, key, room_id, _now())

    async def appoint(self) -> None:
        """Make the hub's account a server administrator, which Synapse's admin API asks for."""
        await self._api.set_user_admin(self._config.bot, admin=True)

    async def status(self) -> dict[str, Any]:
        """What ``conclave doctor`` and the hub's restart detection want to know."""
        await self.ready()
        documents = await self._api.run_db_interaction("conclave_status", store.count_documents)
        return {"instance": self.instance, "documents": documents, "administrator": await self._is_administrator()}

    async def _is_administrator(self) -> bool:
        return await self._api.is_user_admin(self._config.bot)

    async def _deliver(self) -> None:
        """Hand waiting refusals to the hub; they stay until it has them."""
        await self.ready()
        batch, refusals = await self._api.run_db_interaction("conclave_batch", store.next_batch, uuid4().hex, _now())
        if not refusals:
            return
        try:
            await self._api.http_client.put_json(
                f"{self._config.hub_url}/_conclave/guard/v1/refusals/{batch}",
                {"refusals": refusals},
                headers={b"Authorization": [b"Bearer " + self._config.token.encode()]},
            )
        except Exception as error:  # noqa: BLE001  # whatever it is, the batch stays and is sent again
            logger.info("conclave guard: the hub does not take refusals: %s", error)
            return
        await self._api.run_db_interaction("conclave_acknowledge", store.acknowledge_batch, batch, _now())


class _Missing:
    """Marks a record that is not in the cache."""


MISSING = _Missing()


class _Records:
    """Documents in memory, dropped when Synapse's replication says that one changed.

    Has the members of a ``CachedFunction`` that ``ModuleApi.register_cached_function`` uses: ``invalidate``,
    ``invalidate_all``, ``__module__`` and ``__name__``.
    """

    __name__ = "conclave_records"

    def __init__(self, api: ModuleApi) -> None:
        self._api = api
        self._known: dict[tuple[str, str], Record | None] = {}
        self._changes = 0

    def get(self, kind: str, key: str) -> Record | _Missing | None:
        """The record, ``None`` when there is none, or ``MISSING`` when it has to be loaded."""
        return self._known.get((kind, key), MISSING)

    async def load(self, kind: DocumentKind, key: str) -> Record | None:
        """Read the record from the database, and remember it unless something changed meanwhile."""
        before = self._changes
        body = await self._api.run_db_interaction("conclave_load", store.load_body, kind.value, key)
        record = None if body is None else READERS[kind](body)
        if self._changes == before:
            self._known[kind.value, key] = record
        return record

    def invalidate(self, key: tuple[Any, ...]) -> None:
        """Forget one record."""
        self._changes += 1
        self._known.pop((str(key[0]), str(key[1])), None)

    def invalidate_all(self) -> None:
        """Forget every record."""
        self._changes += 1
        self._known.clear()


class _Resource(DirectServeJsonResource):
    """An address for the hub; everyone else gets 403."""

    def __init__(self, guard: Guard) -> None:
        super().__init__()
        self._guard = guard


class _Documents(_Resource):
    async def _async_render_PUT(self, request: SynapseRequest) -> tuple[int, Mapping[str, Any]]:
        self._guard.authenticate(request)
        items = parse_json_object_from_request(request).get("documents")
        if not isinstance(items, list):
            raise SynapseError(400, "documents must be a list", Codes.INVALID_PARAM)
        return 200, {"stored": await self._guard.put_documents(items)}


class _Rooms(_Resource):
    async def _async_render_GET(self, request: SynapseRequest) -> tuple[int, Mapping[str, Any]]:
        self._guard.authenticate(request)
        return 200, {"room_id": await self._guard.claimed_room(_argument(request, b"key"))}

    async def _async_render_DELETE(self, request: SynapseRequest) -> tuple[int, Mapping[str, Any]]:
        self._guard.authenticate(request)
        released = await self._guard.release_room(_argument(request, b"key"), _argument(request, b"room_id"))
        return 200, {"released": released}


class _Status(_Resource):
    async def _async_render_GET(self, request: SynapseRequest) -> tuple[int, Mapping[str, Any]]:
        self._guard.authenticate(request)
        return 200, await self._guard.status()

    async def _async_render_POST(self, request: SynapseRequest) -> tuple[int, Mapping[str, Any]]:
        self._guard.authenticate(request)
        await self._guard.appoint()
        return 200, await self._guard.status()


def _argument(request: SynapseRequest, name: bytes) -> str:
    values = (request.args or {}).get(name)
    if not values:
        raise SynapseError(400, f"{name.decode()} is missing", Codes.MISSING_PARAM)
    return str(values[0].decode())


def _is_membership(event: EventBase) -> bool:
    return event.type == "m.room.member" and event.is_state()


def _plain(value: Any) -> Any:
    """``value`` in Python's own types: Synapse's frozen JSON objects behave like dictionaries in part only."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


async def _previous_events(event: EventBase) -> dict[str, Any]:
    """Tell the hub's feed which events came before, so that it notices one that was never delivered."""
    return {PREVIOUS: list(event.prev_event_ids())}


def _now() -> int:
    return time.time_ns() // 1_000_000
