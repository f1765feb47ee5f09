"""What the guard refused: counted in Synapse's database, and handed to the hub until it has it."""

import logging
from uuid import uuid4

from synapse.module_api import ModuleApi
from synapse.module_api.errors import Codes, SynapseError

from bridge.guard import store
from bridge.guard.documents import Documents
from spaces.policy.refusal import Refusal

DELIVERY_MS = 500
OTHER = "another type of event"
MEMBERSHIPS = frozenset({"join", "leave", "invite", "ban", "knock"})
TYPES = frozenset({
    "im.vector.modular.widgets", "m.call.invite", "m.call.member", "m.poll.start", "m.reaction", "m.room.aliases",
    "m.room.avatar", "m.room.canonical_alias", "m.room.create", "m.room.encrypted", "m.room.encryption",
    "m.room.guest_access", "m.room.history_visibility", "m.room.join_rules", "m.room.message", "m.room.name",
    "m.room.pinned_events", "m.room.power_levels", "m.room.redaction", "m.room.server_acl",
    "m.room.third_party_invite", "m.room.tombstone", "m.room.topic", "m.space.child", "m.space.parent", "m.sticker",
    "org.matrix.msc3381.poll.start", "org.matrix.msc3401.call.member",
})  # fmt: skip
CODE_FIELD = "org.conclave.code"

logger = logging.getLogger(__name__)


def act_of(event_type: str, membership: object) -> str:
    """The name of an act in its entry: from a closed set, so that no client makes up new ones by the thousand."""
    if membership is not None:
        known = isinstance(membership, str) and membership in MEMBERSHIPS
        return f"m.room.member/{membership}" if known else "m.room.member"
    return event_type if event_type in TYPES else OTHER


class Refusals:
    """Records and delivers refusals; the main process delivers, every process records."""

    def __init__(self, api: ModuleApi, documents: Documents, *, hub_url: str, token: str) -> None:
        self._api = api
        self._documents = documents
        self._hub_url = hub_url
        self._headers = {b"Authorization": [b"Bearer " + token.encode()]}
        if api.should_run_background_tasks():
            api.looping_background_call(self._deliver, DELIVERY_MS, desc="conclave_deliver")

    async def note(self, refusal: Refusal, *, actor: str, room: str, act: str, subject: str = "") -> None:
        """Count one refusal of ``act``, done to ``subject`` where it was done to somebody."""
        refused = store.RefusedAct(actor=actor, room=room, code=refusal.code.value, act=act, subject=subject)
        await self.record(refused, store.now_ms())

    @staticmethod
    def error(
        refusal: Refusal, contact: str = "", *, status: int = 403, errcode: str = Codes.FORBIDDEN
    ) -> SynapseError:
        """What the client is told."""
        fields = {CODE_FIELD: refusal.code.value}
        return SynapseError(status, refusal.text(contact), errcode, additional_fields=fields)

    async def record(self, refused: store.RefusedAct, now: int) -> None:
        """Count one; a failure to count is logged, and the act is refused all the same."""
        try:
            await self._documents.ready()
            await self._api.run_db_interaction("conclave_refusal", store.record_refusal, refused, now)
        except Exception:  # the refusal stands without its record
            logger.exception("conclave guard: a refusal could not be recorded: %s", refused)

    async def _deliver(self) -> None:
        """Hand waiting refusals to the hub; they stay until it has them."""
        await self._documents.ready()
        batch, refusals = await self._api.run_db_interaction(
            "conclave_batch", store.next_batch, uuid4().hex, store.now_ms()
        )
        if not refusals:
            return
        url = f"{self._hub_url}/_conclave/guard/v1/refusals/{batch}"
        try:
            await self._api.http_client.put_json(url, {"refusals": refusals}, headers=self._headers)
        except Exception as error:  # noqa: BLE001  # whatever it is, the batch stays and is sent again
            logger.info("conclave guard: the hub does not take refusals: %s", error)
            return
        await self._api.run_db_interaction("conclave_acknowledge", store.acknowledge_batch, batch, store.now_ms())
