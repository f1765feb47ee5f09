"""The Synapse module itself: what Synapse asks, what the policy answers.

It runs in every Synapse process. What it decides on, charters and roster, it takes as signed documents from the hub;
what it refuses it counts and delivers to the hub. It works the same while the hub is down.
"""

import base64
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from synapse.module_api import NOT_SPAM, EventBase, ModuleApi, Requester, StateMap
from synapse.module_api.errors import ConfigError, SynapseError

from bridge.guard import resources, screened, store
from bridge.guard.acts import Acts
from bridge.guard.direct import DirectRooms, RoomMadeError
from bridge.guard.documents import Documents
from bridge.guard.federation import FederationDoor
from bridge.guard.refusals import Refusals, act_of
from bridge.guard.sign_in import EqualTime
from spaces.policy.blueprint import ROOM_KEY
from spaces.policy.decide import decide
from spaces.policy.records import Charter
from spaces.policy.refusal import Code, Refusal
from spaces.policy.rules import EventRequest, refuse_account

PREVIOUS = "org.conclave.prev"
WITHHELD = "org.conclave.withheld"
_CREATE = ("m.room.create", "")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardConfig:
    """The module's ``config`` in ``homeserver.yaml``."""

    bot: str
    hub_url: str
    client_url: str
    bcrypt_rounds: int
    token: str
    document_key: Ed25519PublicKey


class Guard:
    """Registers with Synapse what the charters need; see ``docs/adr/0005``."""

    def __init__(self, config: GuardConfig, api: ModuleApi) -> None:
        self._bot = config.bot
        self._api = api
        self._documents = Documents(api, config.document_key)
        self._direct = DirectRooms(api, self._documents, config.bot)
        self._refusals = Refusals(api, self._documents, hub_url=config.hub_url, token=config.token)
        self.token = config.token
        self.instance = uuid4().hex
        api.register_third_party_rules_callbacks(
            check_event_allowed=self.check_event_allowed, on_create_room=self.on_create_room
        )
        api.register_spam_checker_callbacks(check_login_for_spam=self.check_login_for_spam)
        FederationDoor(api, bot=config.bot, judge=self._judge, refuse=self._refuse)
        api.register_add_extra_fields_to_unsigned_client_event_callbacks(
            add_field_to_unsigned_callback=_previous_events
        )
        Acts(api, self._documents, self._refusals, config.bot).register()
        resources.register(api, self)
        screened.register(api, config.client_url)
        _register_sign_in(api, EqualTime(api, config.bcrypt_rounds))

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
                client_url=config["client_url"].rstrip("/"),
                bcrypt_rounds=int(config["bcrypt_rounds"]),
                token=Path(config["token_file"]).read_text().strip(),
                document_key=Ed25519PublicKey.from_public_bytes(base64.b64decode(config["document_key"])),
            )
        except (KeyError, OSError, ValueError, AttributeError) as error:
            raise ConfigError(f"conclave guard: {type(error).__name__}: {error}") from error

    # --- what Synapse asks

    async def check_event_allowed(self, event: EventBase, state: StateMap[EventBase]) -> tuple[bool, None]:
        """Synapse's question before it takes an event: ``(True, None)`` or a 403 with our sentence and code."""
        act = act_of(event.type, event.content.get("membership") if _is_membership(event) else None)
        subject = event.state_key if _is_membership(event) and event.state_key != event.sender else ""
        try:
            refusal, charter = await self._judge(event, state)
        except SynapseError:
            raise
        except Exception:  # in doubt, no: a crash of any rule refuses
            logger.exception("conclave guard: a rule failed on %s in %s", event.type, event.room_id)
            refusal, charter = Refusal(Code.GUARD_FAILED, "this could not be checked, so it is refused"), None
        if refusal is not None:
            await self._refuse(refusal, charter, actor=event.sender, room=event.room_id, act=act, subject=subject)
        return True, None

    async def on_create_room(self, requester: Requester, config: dict[str, Any], is_admin: bool) -> None:
        """Refuse a user's room before anything of it exists; a direct room is made for them where they may have one."""
        del is_admin
        user = requester.user.to_string()
        if user == self._bot:
            return
        try:
            answer = await self._direct.open(user, _plain(config))
        except SynapseError:
            raise
        except Exception:  # in doubt, no
            logger.exception("conclave guard: the room that %s asks for could not be judged", user)
            answer = Refusal(Code.GUARD_FAILED, "this could not be checked, so it is refused")
        if isinstance(answer, Refusal):
            await self._refuse(answer, None, actor=user, room="", act="create room")
        else:
            raise RoomMadeError(answer)

    async def check_login_for_spam(
        self, user_id: str, device_id: str | None, display_name: str | None, addresses: object, provider: str | None
    ) -> Literal["NOT_SPAM"]:
        """Only people in good standing may sign in."""
        del device_id, display_name, addresses, provider
        try:
            roster = await self._documents.roster(user_id)
            refusal = refuse_account(user_id, roster, store.now_ms())
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
        charter = await self._documents.charter(key) if isinstance(key, str) else None
        if charter is None and create is not None:
            charter = await self._direct.charter(create.content)
        request = EventRequest(
            sender=event.sender,
            type=event.type,
            content=_plain(event.content),
            state_key=event.get("state_key"),
            redacts_state=event.type == "m.room.redaction" and _is_state(event, state),
        )
        roster = await self._documents.roster(event.sender, *([event.state_key] if _is_membership(event) else []))
        refusal = decide(request, charter, roster, store.now_ms(), self._bot)
        if refusal is None and create is event and charter is not None:
            refusal = await self._claim(charter, event.room_id)
        return refusal, charter

    async def _claim(self, charter: Charter, room_id: str) -> Refusal | None:
        """Bind the charter to the room being created; a second room for one charter is refused."""
        await self._documents.ready()
        bound = await self._api.run_db_interaction(
            "conclave_claim", store.claim_room, charter.key, room_id, store.now_ms()
        )
        if bound == room_id:
            return None
        return Refusal(Code.ROOM_EXISTS, f"the charter {charter.key} has its room already")

    async def _refuse(
        self, refusal: Refusal, charter: Charter | None, *, actor: str, room: str, act: str, subject: str = ""
    ) -> None:
        """Count the refusal, then tell the client."""
        await self._refusals.note(refusal, actor=actor, room=room, act=act, subject=subject)
        raise self._refusals.error(refusal, charter.contact if charter is not None else "")

    # --- what the hub asks

    async def put_documents(self, items: list[Any]) -> int:
        """See :meth:`bridge.guard.documents.Documents.put`."""
        return await self._documents.put(items)

    async def claimed_room(self, key: str) -> str | None:
        """The room that the charter ``key`` is bound to."""
        await self._documents.ready()
        return await self._api.run_db_interaction("conclave_room", store.claimed_room, key)

    async def direct_rooms(self, after: str) -> list[tuple[str, str]]:
        """Up to a thousand direct rooms as (key, room id), in the order of their keys from behind ``after`` on."""
        await self._documents.ready()
        return await self._api.run_db_interaction("conclave_direct", store.direct_rooms, after)

    async def release_room(self, key: str, room_id: str) -> bool:
        """Unbind a room whose creation failed."""
        await self._documents.ready()
        return await self._api.run_db_interaction("conclave_release", store.release_room, key, room_id, store.now_ms())

    async def appoint(self) -> None:
        """Make the hub's account a server administrator, which Synapse's admin API asks for."""
        await self._api.set_user_admin(self._bot, admin=True)

    async def status(self) -> dict[str, Any]:
        """What ``conclave doctor`` and the hub's restart detection want to know."""
        administrator = await self._api.is_user_admin(self._bot)
        return {
            "instance": self.instance,
            "documents": await self._documents.sums(),
            "administrator": administrator,
        }


def _register_sign_in(api: ModuleApi, checker: EqualTime) -> None:
    try:
        api.register_password_auth_provider_callbacks(
            auth_checkers={("m.login.password", ("password",)): checker.check}
        )
    except ConfigError as error:  # people sign in elsewhere, and there is no password to compare
        logger.info("conclave guard: no passwords here: %s", error)


def _is_membership(event: EventBase) -> bool:
    return event.type == "m.room.member" and event.is_state()


def _is_state(redaction: EventBase, state: StateMap[EventBase]) -> bool:
    """Whether ``redaction`` is of an event that makes up the room's state now."""
    named = [redaction.content.get("redacts"), redaction.get("redacts")]
    return any(event.event_id in named for event in state.values())


def _plain(value: Any) -> Any:
    """``value`` in Python's own types: Synapse's frozen JSON objects behave like dictionaries in part only."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


async def _previous_events(event: EventBase) -> dict[str, Any]:
    """Tell the hub's feed which events came before, so that it notices one that was never delivered.

    And which ones Synapse keeps from everybody: it delivers them to an application service all the same.
    """
    withheld = {WITHHELD: True} if event.internal_metadata.is_soft_failed() else {}
    return {PREVIOUS: list(event.prev_event_ids()), **withheld}
