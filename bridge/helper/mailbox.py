"""The helper's box: what transactions and refusals bring for it, kept in the feed's own transaction.

A crash loses nothing of it, and nothing here waits for anything: the helper works on the box later, apart from the
ledger. What has another form than it should is passed over, so that it can never hold up the feed.
"""

import asyncio
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from bridge.events import Event
from bridge.helper.store import PREFIX, HelperStore, Mail, MailKind
from config.clock import DAY, HOUR, Clock
from spaces.policy.servers import is_remote

log = structlog.get_logger()

EXPLAIN_EVERY = 12 * HOUR
FOREVER = 1_000 * 365 * DAY
MAX_TO_DEVICE = 64 * 1024
MAX_ID = 255
_COUNTS = ("device_one_time_keys_count", "org.matrix.msc3202.device_one_time_keys_count")
_LISTS = ("device_lists", "org.matrix.msc3202.device_lists")
_TO_DEVICE = ("to_device", "de.sorunome.msc2409.to_device")


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """What a transaction has beside events (MSC4203, MSC3202), in whatever form it came."""

    to_device: Sequence[Any] = ()
    changed: Sequence[Any] = ()
    key_counts: Mapping[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is anything to keep; how many keys are left is not."""
        return bool(self.to_device or self.changed)

    def digest(self) -> str:
        """What is kept of them, as SHA-256."""
        return sha256(json.dumps([self.to_device, self.changed], sort_keys=True).encode()).hexdigest()


def extras_of(body: Mapping[str, Any]) -> Extras:
    """The extras of a transaction's ``body``, under their stable or unstable names."""
    lists, counts = _first(body, _LISTS, dict), _first(body, _COUNTS, dict)
    changed = lists.get("changed")
    return Extras(
        to_device=_first(body, _TO_DEVICE, list),
        changed=changed if isinstance(changed, list) else (),
        key_counts=counts,
    )


def _first(body: Mapping[str, Any], names: Sequence[str], kind: type[Any]) -> Any:
    return next((body[name] for name in names if isinstance(body.get(name), kind)), kind())


class Mailbox:
    """Takes what is for the helper; ``arrived`` is set when there may be something new."""

    def __init__(self, clock: Clock, *, helper: str, bot: str, enabled: bool) -> None:
        self._clock = clock
        self._helper = helper
        self._bot = bot
        self._enabled = enabled
        self.arrived = asyncio.Event()
        self.accounts_changed = asyncio.Event()
        self.someone_enrolled = True
        self.key_counts: dict[str, int] = {}

    def enrolled(self) -> None:
        """Somebody enrolled: the helper may open their chat."""
        self.someone_enrolled = True
        self.arrived.set()

    async def put_extras(self, tx: AsyncConnection, extras: Extras) -> None:
        """Keep to-device messages for the helper, in order, and whose devices changed."""
        if not self._enabled:
            return
        now = self._clock()
        changed = [
            Mail(kind=MailKind.DEVICES, user_id=user, body={}, tag="", at=now)
            for user in dict.fromkeys(item for item in extras.changed if _is_id(item))
            if user not in (self._bot, self._helper)
        ]
        await HelperStore(tx).put([*self._to_device(extras.to_device), *changed])

    async def put_events(self, tx: AsyncConnection, events: Iterable[tuple[Event, str | None]]) -> None:
        """Keep what people say in their chats, and that they came in; ``events`` with their engagements."""
        if not self._enabled:
            return
        store, now = HelperStore(tx), self._clock()
        for event, engagement in events:
            mail = self._mail(event) if (engagement or "").startswith(PREFIX) else None
            if mail is None:
                continue
            again = mail.kind is MailKind.GREETING and not await store.notice(mail.user_id, "GREETING", now, FOREVER)
            if not again:
                await store.put([mail])

    async def put_refusals(self, tx: AsyncConnection, items: Sequence[Any], people: Mapping[str, object]) -> None:
        """Keep each kind of refusal of a person that was not explained for some hours, once.

        However many refusals there are, a person has at most one explanation of each code waiting.
        """
        if not self._enabled:
            return
        store, now = HelperStore(tx), self._clock()
        latest = {(str(item["actor"]), str(item["code"])[:MAX_ID]): item for item in items}
        for (user_id, code), item in latest.items():
            here = user_id in people and not is_remote(user_id, self._bot)  # who is elsewhere has no chat
            if here and await store.notice(user_id, code, now, EXPLAIN_EVERY):
                body = {"code": code, "act": str(item["act"])[:MAX_ID], "room": str(item["room"])[:MAX_ID]}
                await store.put([self._fresh(MailKind.REFUSAL, user_id, body)])

    def delivered(self, extras: Extras) -> None:
        """The transaction with ``extras`` is committed: the helper may look."""
        if {self._bot, self._helper} & {item for item in extras.changed if isinstance(item, str)}:
            self.accounts_changed.set()
        devices = extras.key_counts.get(self._helper)
        for device, counts in (devices if isinstance(devices, dict) else {}).items():
            count = counts.get("signed_curve25519", 0) if isinstance(counts, dict) else None
            if type(count) is int:
                self.key_counts[device] = count
        self.arrived.set()

    def _to_device(self, items: Sequence[Any]) -> list[Mail]:
        return [
            Mail(kind=MailKind.TO_DEVICE, user_id=item["sender"], body=item, tag="", at=self._clock())
            for item in items
            if self._is_for_us(item)
        ]

    def _is_for_us(self, item: Any) -> bool:
        """Encrypted, to the helper, of sensible size; key requests and the like the helper does not answer."""
        if not isinstance(item, dict) or item.get("to_user_id") != self._helper or not _is_id(item.get("sender")):
            return False
        if item.get("type") != "m.room.encrypted":
            return False
        fits = len(json.dumps(item)) <= MAX_TO_DEVICE
        if not fits:
            log.warning("helper_to_device_too_large", sender=item["sender"])
        return fits

    def _mail(self, event: Event) -> Mail | None:
        if event.type == "m.room.encrypted" and event.state_key is None and event.sender != self._helper:
            source = {
                "type": event.type,
                "event_id": event.event_id,
                "room_id": event.room_id,
                "sender": event.sender,
                "origin_server_ts": event.ts,
                "content": dict(event.content),
            }
            return self._fresh(MailKind.MESSAGE, event.sender, source, event.room_id)
        joined = event.type == "m.room.member" and event.content.get("membership") == "join"
        if joined and event.state_key not in (None, self._bot, self._helper):
            return self._fresh(MailKind.GREETING, str(event.state_key), {}, event.room_id)
        return None

    def _fresh(self, kind: MailKind, user_id: str, body: Mapping[str, Any], room_id: str | None = None) -> Mail:
        tag = secrets.token_hex(16)
        return Mail(kind=kind, user_id=user_id, body=body, tag=tag, at=self._clock(), room_id=room_id)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and value.startswith("@") and len(value) <= MAX_ID and value.isprintable()
