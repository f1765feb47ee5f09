"""The helper's end-to-end encryption: matrix-nio's Olm machine (vodozemac) on a store of its own, without any network.

Every call is short and synchronous; the one task of the helper makes them in turn.
"""

import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from nio.crypto import Olm
from nio.events import Event, MegolmEvent, RoomKeyEvent, ToDeviceEvent
from nio.exceptions import EncryptionError
from nio.responses import KeysClaimResponse, KeysQueryResponse, KeysUploadResponse, ToDeviceResponse
from nio.store import SqliteStore

from config.errors import ConclaveError
from config.state import kept_secret

STORE = "olm.sqlite3"
DEVICE = "device_id"
BUSY_TIMEOUT_MS = 200


class MachineError(ConclaveError):
    """The store of the helper's keys cannot be used."""

    code = "helper_store"


class NoKeyError(Exception):
    """The key that opens a message is not here; it may still come."""


class Machine:
    """One device's keys and sessions, in the folder ``place``."""

    def __init__(self, olm: Any, store: Any, device_id: str) -> None:
        self._olm = olm
        self._store = store
        self.device_id = device_id
        self._current: set[str] = set()
        self._lost_track: set[str] = set()
        self._keyed: set[str] = set()

    @classmethod
    def opened(cls, place: Path, user_id: str, key: str) -> "Machine":
        """The device whose keys are in ``place``, pickled under ``key``; a fresh device where there are none.

        Raises:
            MachineError: The store is damaged, or was made with another key.
        """
        logging.getLogger("nio").setLevel(logging.CRITICAL)  # it logs ids of devices that have no key, each time
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        device_id = kept_secret(place / DEVICE, lambda: "HELPER" + secrets.token_hex(5).upper())
        try:
            store = SqliteStore(user_id, device_id, str(place), pickle_key=key, database_name=STORE)
            (place / STORE).chmod(0o600)
            store.database.execute_sql(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            return cls(Olm(user_id, device_id, store), store, device_id)
        except Exception as error:  # noqa: BLE001  # the edge: the library raises what its parts raise
            hint = "put state/helper and keys/helper.key back from a backup; docs/helper.md says how to begin anew"
            raise MachineError(f"the helper's keys in {place} cannot be used: {error!r}", hint=hint) from None

    def close(self) -> None:
        """Close the store."""
        self._store.database.close()

    # --- our own keys

    def device_keys(self) -> dict[str, Any]:
        """The device's public keys, signed by itself (specification, "Device keys")."""
        identity = self._olm.account.identity_keys
        content: dict[str, Any] = {
            "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
            "device_id": self.device_id,
            "user_id": self._olm.user_id,
            "keys": {f"{name}:{self.device_id}": identity[name] for name in ("curve25519", "ed25519")},
        }
        signature = self._olm.sign_json(content)
        return {**content, "signatures": {self._olm.user_id: {f"ed25519:{self.device_id}": signature}}}

    def upload(self, count: int) -> dict[str, Any] | None:
        """The body of ``POST /keys/upload`` while the homeserver has ``count`` one-time keys, if any is due."""
        self._olm.uploaded_key_count, self._olm.account.shared = count, True
        if count > self._olm.account.max_one_time_keys // 2:
            return None
        with self._store.database.atomic():
            content: dict[str, Any] = self._olm.share_keys()
            self._olm.save_account()
        return content

    def uploaded(self, count: int) -> None:
        """What :meth:`upload` gave is with the homeserver, which now has ``count`` one-time keys."""
        with self._store.database.atomic():
            self._olm.handle_response(KeysUploadResponse(0, count))

    # --- their devices

    def is_current(self, user_id: str) -> bool:
        """Whether the devices of ``user_id`` were asked for, and did not change since; with none it never is."""
        return user_id in self._current and bool(self.devices(user_id))

    def changed(self, user_id: str) -> None:
        """The devices of ``user_id`` are no longer what they were."""
        self._current.discard(user_id)

    def devices(self, user_id: str) -> list[str]:
        """The ids of the devices of ``user_id`` that can be written to."""
        return [device.id for device in self._olm.device_store.active_user_devices(user_id)]

    def found(self, user_id: str, device_keys: Mapping[str, Any]) -> None:
        """Take the devices of ``user_id``; with other ones than before, the next message has a new session."""
        before = set(self.devices(user_id))
        with self._store.database.atomic():
            self._olm.handle_response(KeysQueryResponse({user_id: dict(device_keys)}, {}))
        self._current.add(user_id)
        if before != set(self.devices(user_id)):
            self._lost_track.add(user_id)

    def missing(self, user_id: str) -> dict[str, dict[str, str]]:
        """The devices of ``user_id`` without an Olm session, as ``POST /keys/claim`` wants them."""
        wanted = self._olm.get_missing_sessions([user_id]).get(user_id, [])
        wedged = [device.id for device in self._olm.wedged_devices if device.user_id == user_id]
        return {user_id: dict.fromkeys([*wanted, *wedged], "signed_curve25519")} if wanted or wedged else {}

    def claimed(self, keys: Mapping[str, Any]) -> None:
        """Begin Olm sessions with one-time keys that were claimed."""
        with self._store.database.atomic():
            self._olm.handle_response(KeysClaimResponse(dict(keys), {}))

    def waiting(self) -> Iterator[dict[str, Any]]:
        """To-device messages that mend broken sessions; each is taken for sent when the next one is asked for."""
        for message in list(self._olm.outgoing_to_device_messages):
            yield message.as_dict()
            self._olm.handle_response(ToDeviceResponse(message))

    # --- what came

    def take(self, event: Mapping[str, Any]) -> bool:
        """Take an encrypted to-device message; false when nothing could be made of it.

        A message that was taken before a crash is refused by the ratchet the second time: what it carried is here
        already. Account, session and room key are stored together or not at all.

        Raises:
            MachineError: The store could not be written to: open it again, and have it take the message again.
        """
        try:
            with self._store.database.atomic("IMMEDIATE"):
                return self._try_to_take(event)
        except Exception as error:  # noqa: BLE001  # the edge: whatever it is, it is the store's
            raise MachineError(f"the helper's keys cannot be written: {error!r}", hint="conclave doctor") from None

    def _try_to_take(self, event: Mapping[str, Any]) -> bool:
        try:
            found = self._olm.handle_to_device_event(ToDeviceEvent.parse_event(dict(event)))
            if isinstance(found, RoomKeyEvent):
                self._keyed.add(found.room_id)
            return found is not None
        except Exception:  # noqa: BLE001  # the edge: text by strangers, and the library raises what its parts raise
            return False

    def open(self, source: Mapping[str, Any]) -> dict[str, Any]:
        """What stands in an encrypted room event: ``{"type": …, "content": …}``.

        Raises:
            NoKeyError: Its key is not here, or came from a device that the sender is not known to have.
        """
        event = Event.parse_event(dict(source))
        if not isinstance(event, MegolmEvent):
            raise NoKeyError("it is not encrypted as rooms are")
        try:
            found = self._olm.decrypt_megolm_event(event, str(source["room_id"]))
        except EncryptionError as error:
            raise NoKeyError(str(error)) from None
        device = self._olm.device_store.device_from_sender_key(event.sender, event.sender_key)
        if device is None or device.deleted:
            self.changed(event.sender)
            raise NoKeyError("its key came from a device that the sender is not known to have")
        plain = getattr(found, "source", None)
        return plain if isinstance(plain, dict) else {}

    def keyed(self) -> set[str]:
        """The rooms whose keys came since this was asked last."""
        found, self._keyed = self._keyed, set()
        return found

    def forget(self, room_id: str) -> None:
        """Drop every key of a room, our own too: what was said there cannot be opened any more.

        Raises:
            MachineError: The store could not be written to.
        """
        self.end_session(room_id)
        try:
            with self._store.database.atomic("IMMEDIATE"):
                self._store.database.execute_sql("DELETE FROM megolminboundsessions WHERE room_id = ?", (room_id,))
        except Exception as error:  # noqa: BLE001  # the edge: whatever it is, it is the store's
            raise MachineError(f"the helper's keys cannot be written: {error!r}", hint="conclave doctor") from None
        for session in [item for item in self._olm.inbound_group_store if item.room_id == room_id]:
            del self._olm.inbound_group_store[room_id][session.sender_key][session.id]

    # --- what goes

    def share(self, room_id: str, user_id: str) -> Iterator[dict[str, Any]]:
        """The to-device messages that give every device of ``user_id`` the key of the room's next message.

        None when they have it. Each is taken for sent when the next one is asked for.
        """
        session = self._olm.outbound_group_sessions.get(room_id)
        if session is not None and (session.expired or user_id in self._lost_track):
            del self._olm.outbound_group_sessions[room_id]
            session = None
        if session is not None and session.shared:
            return
        yield from self._share_with(room_id, user_id)
        self._olm.outbound_group_sessions[room_id].mark_as_shared()
        self._lost_track.discard(user_id)

    def begin(self, room_id: str, user_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The to-device messages that give every device of all these people the key of a session begun just now.

        Each is taken for sent when the next one is asked for.
        """
        self.end_session(room_id)
        self._olm.create_outbound_group_session(room_id)
        for user_id in user_ids:
            yield from self._share_with(room_id, user_id)
        self._olm.outbound_group_sessions[room_id].mark_as_shared()

    def _share_with(self, room_id: str, user_id: str) -> Iterator[dict[str, Any]]:
        while True:
            options = {"ignore_missing_sessions": True, "ignore_unverified_devices": True}
            with self._store.database.atomic():
                shared_with, content = self._olm.share_group_session(room_id, [user_id], **options)
            if not shared_with:
                return
            yield content
            self._olm.outbound_group_sessions[room_id].users_shared_with.update(shared_with)

    def reached_by_user(self, room_id: str) -> set[str]:
        """Whose devices have the key of the room's next message, at least one each."""
        session = self._olm.outbound_group_sessions.get(room_id)
        return {user_id for user_id, _ in session.users_shared_with} if session is not None else set()

    def reached(self, room_id: str) -> int:
        """How many devices have the key of the room's next message."""
        session = self._olm.outbound_group_sessions.get(room_id)
        return len(session.users_shared_with) if session is not None else 0

    def unreached(self, room_id: str) -> int:
        """How many devices could not be given it, for want of one-time keys."""
        session = self._olm.outbound_group_sessions.get(room_id)
        return len(session.users_ignored) if session is not None else 0

    def end_session(self, room_id: str) -> None:
        """Have the room's next message begin a new session, with whatever devices there are by then."""
        with suppress(KeyError):
            del self._olm.outbound_group_sessions[room_id]

    def seal(self, room_id: str, content: Mapping[str, Any]) -> dict[str, Any]:
        """The content of the ``m.room.encrypted`` event that carries a message with ``content``."""
        found: dict[str, Any] = self._olm.group_encrypt(room_id, {"type": "m.room.message", "content": dict(content)})
        return found
