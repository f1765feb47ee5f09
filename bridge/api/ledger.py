"""Reading and exporting the ledger."""

import base64
from contextlib import aclosing

from aiohttp import web

from audit.archive import BLOCK, END, tar_header
from audit.index import COMPANY, ROOM, Scope
from audit.removal_export import NotClearedError
from audit.removal_report import Removal
from audit.store import EntryRow
from bridge.api.call import Call
from bridge.api.ledger_models import EventPlace, ExportOrder, GrowthProof, GrowthQuery, RoomCompleteness
from bridge.api.models import (
    EntryProof,
    EntryQuery,
    EntryView,
    ExportView,
    LedgerView,
    NoBody,
    NoQuery,
    Page,
)
from bridge.api.views import entry_fields, entry_view, people_in
from bridge.completeness import compare, position_of, record_of
from bridge.services import Services
from config.errors import InvalidInputError, NotFoundError
from partner_onboarding.store import PersonStore
from spaces.committee import Committee, Phase
from spaces.observed import ObservedStore
from spaces.store import DocumentStore, RoomStore


async def show_ledger(call: Call[NoQuery, NoBody]) -> LedgerView:
    """Where the ledger stands, its public keys, and those that signed it before them."""
    status = await call.services.audit.status()
    head, key = status.head, call.services.audit.log_key
    return LedgerView(
        origin=key.name,
        vkey=str(key),
        vkeys=[str(one) for one in call.services.audit.log_keys],
        retired=[str(one) for one in call.services.audit.retired],
        size=head.size,
        signed_size=head.signed_size,
        waiting=status.backlog,
        checkpoint=None if head.checkpoint is None else head.checkpoint.decode(),
    )


async def list_entries(call: Call[EntryQuery, NoBody]) -> Page[EntryView]:
    """Entries from a position on, the oldest first; ``next`` is the position after the last one.

    ``room`` is a room's key or its Matrix id, be that of a room of the hub's or not.
    """
    query, room = call.query, call.query.room
    if room is not None and not room.startswith("!"):
        try:
            _, room = await _room(call.services, room)
        except NotFoundError as error:  # the list is there: what is wrong is the question
            raise InvalidInputError(error.message, field="room", hint=error.hint) from None
    rows = await call.services.audit.page(start=query.start, limit=query.limit, kind=query.kind, room=room)
    names = await _names(call.services, rows)
    following = str(rows[-1].position + 1) if len(rows) == query.limit else None
    beside = await call.services.audit.disclosed([row.position for row in rows])
    return Page(items=[entry_view(row, names, beside[row.position]) for row in rows], next=following)


async def show_entry(call: Call[NoQuery, NoBody]) -> EntryProof:
    """One entry with the proof that it is in the log."""
    proven = await call.services.audit.prove(_position(call.path["position"]))
    names = await _names(call.services, [proven.row])
    beside = await call.services.audit.disclosed([proven.row.position])
    return EntryProof(
        **entry_fields(proven.row, names, beside[proven.row.position]),
        bytes=_base64(proven.row.body),
        leaf=_base64(proven.leaf),
        size=proven.size,
        root=_base64(proven.root),
        proof=[_base64(node) for node in proven.proof],
        checkpoint=proven.checkpoint.decode(),
    )


async def prove_growth(call: Call[GrowthQuery, NoBody]) -> GrowthProof:
    """The proof that the log of ``first`` entries is a prefix of the log of ``second`` (RFC 9162, section 2.1.4)."""
    proof = await call.services.audit.growth(call.query.first, call.query.second)
    return GrowthProof(first=call.query.first, second=call.query.second, proof=[_base64(node) for node in proof])


async def find_event(call: Call[NoQuery, NoBody]) -> EventPlace:
    """The entry that records a Matrix event, by the event's id."""
    services, event_id = call.services, call.path["event"]
    async with services.db.read() as connection:
        room_id = await ObservedStore(connection).room_of_event(event_id)
    position = None if room_id is None else await position_of(event_id, room_id, services.audit)
    if room_id is None or position is None:
        closed = None if room_id is None else record_of(event_id, await services.audit.former(room_id))
        if closed is not None:
            detail = f"the event {event_id!r} is in no entry of this log; it is {await _place(services, closed)}"
            raise NotFoundError(detail, hint="conclave signer former")
        raise NotFoundError(f"no event {event_id!r} in the ledger", hint="conclave audit reconcile")
    return EventPlace(event=event_id, room_id=room_id, position=position)


async def _place(services: Services, closed: EntryRow) -> str:
    origin = await services.audit.closed_log_of(closed)
    return f"entry {closed.position} of the closed log {origin}"


async def compare_room(call: Call[NoQuery, NoBody]) -> RoomCompleteness:
    """Whether the ledger has each event that the homeserver has of a room, and no other; slow for a long history."""
    services = call.services
    key, room_id = await _room(services, call.path["room"])
    former = await services.audit.former(room_id)
    found = await compare(room_id, services.homeserver, services.audit, former)
    return RoomCompleteness(
        room=key,
        room_id=room_id,
        events=found.events,
        agrees=found.holds,
        unrecorded=list(found.unrecorded),
        unknown=list(found.unknown),
        repeated=list(found.repeated),
    )


async def order_export(call: Call[NoQuery, ExportOrder]) -> ExportView:
    """Record an export of the log, or of a part of it; the answer names the entry that says so."""
    scope = await _scope(call.services, call.body)
    export, entry = await call.services.audit.order_export(actor=call.actor, scope=scope)
    if call.services.witnesses is not None:
        await call.services.witnesses.try_round()  # where they do not cosign now, the export is made without their word
    return ExportView(export=export, entry=entry)


async def _scope(services: Services, order: ExportOrder) -> Scope | Removal | None:
    if order.company is not None and order.room is not None:
        raise InvalidInputError("an export is of one company or of one room, not of both", field="room")
    part = order.company or order.room
    if part is not None and (order.committee or order.vendor) is not None:
        field = "committee" if order.vendor is None else "vendor"
        raise InvalidInputError(f"a removal proof is of both rooms whole, not of {part}", field=field)
    if (order.committee is None) != (order.vendor is None):
        field = "vendor" if order.vendor is None else "committee"
        raise InvalidInputError("a removal is of a vendor from a committee: name both", field=field)
    if order.committee is not None and order.vendor is not None:
        committee, _ = await services.committees.get(order.committee)
        about = Removal(committee.id, (await services.onboarding.company(order.vendor)).id)
        committee.vendor(about.vendor)
        if committee.phase in (Phase.OPEN, Phase.PITCH):
            raise await _not_cleared(services, committee, about.vendor)
        return about
    if order.company is not None:
        return Scope(COMPANY, (await services.onboarding.company(order.company)).id)
    return None if order.room is None else Scope(ROOM, (await _room(services, order.room))[1])


async def _not_cleared(services: Services, committee: Committee, vendor: str) -> NotClearedError:
    """What is said of a vendor whose committee has not been cleared: who of it is in."""
    (found,) = [one for one in await services.committees.attendance(committee.id) if one.vendor == vendor]
    inside = f"; in its room are {', '.join(found.inside)}" if found.inside else ""
    return NotClearedError(
        f"{vendor} was not put out yet: {committee.id} is in phase {committee.phase}{inside}",
        hint=f"a proof is made once the room was cleared: conclave committee show {committee.id}",
    )


async def _room(services: Services, room: str) -> tuple[str, str]:
    """Key and Matrix id of a room.

    Raises:
        NotFoundError: There is none, or it was not made yet.
    """
    view, _ = await services.partnerships.room(room)
    if view.room.room_id is None:
        raise NotFoundError(f"the room {view.room.key} was not made yet", hint="conclave room show")
    return view.room.key, view.room.room_id


async def export_bundle(call: Call[NoQuery, NoBody], request: web.Request) -> web.StreamResponse:
    """The files of an export as a tar archive, of whatever size."""
    files = await call.services.audit.export(_position(call.path["position"]), actor=call.actor)
    response = web.StreamResponse(headers={"Content-Type": "application/x-tar", "Cache-Control": "no-store"})
    await response.prepare(request)
    async with aclosing(files):
        async for file in files:
            await response.write(tar_header(file.path, file.size))
            for chunk in file.chunks:
                await response.write(chunk)
            await response.write(b"\0" * (-file.size % BLOCK))
    await response.write(END)
    await response.write_eof()
    return response


async def _names(services: Services, rows: list[EntryRow]) -> dict[str, str]:
    """Names of the people and rooms that the entries name, by id."""
    people = {person for row in rows for person in people_in(entry_fields(row, {}, {})["entry"])}
    rooms = sorted({row.room for row in rows if row.room is not None})
    async with services.db.read() as connection:
        names = await PersonStore(connection).names(people)
        managed = await RoomStore(connection).by_room_ids(rooms)
        charters = await DocumentStore(connection).charters([room.key for room in managed.values()])
    return {**names, **{room_id: charters[room.key].name for room_id, room in managed.items() if room.key in charters}}


def _position(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise InvalidInputError(f"entry {text!r} is not a number from 0 on", field="position")
    return int(text)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
