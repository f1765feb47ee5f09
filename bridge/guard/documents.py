"""Charters and roster inside Synapse: checked, stored, remembered in every process, forgotten when one changes."""

import base64
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from synapse.module_api import CachedFunction, ModuleApi
from synapse.module_api.errors import Codes, SynapseError

from bridge.guard import store
from bridge.guard.memory import UNKNOWN, Memory
from spaces.policy.documents import READERS, Document, DocumentError, DocumentKind, Record, parse_document
from spaces.policy.records import Charter, CompanyRecord, MappingRoster, PersonRecord


class Documents:
    """The signed documents that the guard decides on."""

    def __init__(self, api: ModuleApi, key: Ed25519PublicKey) -> None:
        self._api = api
        self._key = key
        self._memory = Memory()
        self._ready = False
        api.register_cached_function(cast(CachedFunction[Any], self._memory))

    async def ready(self) -> None:
        """Return when the guard's tables exist."""
        if not self._ready:
            with suppress(Exception):  # PostgreSQL refuses one of two who do it at once; the call below tells
                await self._api.run_db_interaction("conclave_tables", store.create_tables)
            await self._api.run_db_interaction("conclave_tables", store.create_tables)
            self._ready = True

    async def put(self, items: list[Any]) -> int:
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
            await self._api.invalidate_cache(cast(CachedFunction[Any], self._memory), (kind, key))
        return len(changed)

    def _signed(self, item: Any) -> Document:
        try:
            document = parse_document(item["document"])
            signature = base64.b64decode(item["signature"], validate=True)
            self._key.verify(signature, document.signed_bytes())
        except (DocumentError, KeyError, TypeError, ValueError, InvalidSignature) as error:
            reason = str(error) or type(error).__name__
            raise SynapseError(400, f"not a document signed by the hub: {reason}", Codes.INVALID_PARAM) from None
        return document

    async def charter(self, key: str) -> Charter | None:
        """The charter of the room ``key``."""
        return cast(Charter | None, await self._record(DocumentKind.CHARTER, key))

    async def person(self, user_id: str) -> PersonRecord | None:
        """The person with this account."""
        return cast(PersonRecord | None, await self._record(DocumentKind.PERSON, user_id))

    async def company(self, company: str) -> CompanyRecord | None:
        """The company with this id."""
        return cast(CompanyRecord | None, await self._record(DocumentKind.COMPANY, company))

    async def roster(self, *user_ids: str) -> MappingRoster:
        """What is known of these accounts and their companies."""
        people: dict[str, PersonRecord] = {}
        companies: dict[str, CompanyRecord] = {}
        for user_id in user_ids:
            person = await self.person(user_id)
            if person is None:
                continue
            people[user_id] = person
            company = await self.company(person.company)
            if company is not None:
                companies[person.company] = company
        return MappingRoster(companies=companies, people=people)

    async def key_of_room(self, room_id: str) -> str | None:
        """The key of the charter that a room is bound to; ``None`` for a room that is none of the hub's."""
        await self.ready()
        return await self._api.run_db_interaction("conclave_key", store.key_of_room, room_id)

    async def shared_charters(self, companies: Sequence[str]) -> list[Charter]:
        """The charters that name all of these companies."""
        await self.ready()
        keys = await self._api.run_db_interaction("conclave_shared", store.shared_charters, sorted(set(companies)))
        found = [await self.charter(key) for key in keys]
        return [charter for charter in found if charter is not None]

    async def sums(self) -> dict[str, tuple[int, int]]:
        """How many documents of each kind are stored, and the sum of their versions."""
        await self.ready()
        return await self._api.run_db_interaction("conclave_status", store.sum_documents)

    async def _record(self, kind: DocumentKind, key: str) -> Record | None:
        known = self._memory.recall((kind.value, key))
        return await self._load(kind, key) if known is UNKNOWN else known

    async def _load(self, kind: DocumentKind, key: str) -> Record | None:
        """Read the record from the database, and remember it unless something changed meanwhile."""
        await self.ready()
        before = self._memory.changes
        body = await self._api.run_db_interaction("conclave_load", store.load_body, kind.value, key)
        record = None if body is None else READERS[kind](body)
        if self._memory.changes == before:
            self._memory.remember((kind.value, key), record)
        return record
