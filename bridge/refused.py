"""From a refusal of the guard to a ledger entry. Pure.

An entry of a room goes into the trail that the room's companies are given (``audit.trail``). So what somebody of
another company tried there is no entry of the room, nor what happened in a room that the hub knows nothing of; and whom
an act was about is named in a room's entry only where they belong to the room.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from audit.entry import Draft, system_actor
from bridge.events import Context, RoomContext, actor_of
from config.errors import InvalidInputError
from spaces.policy.records import PersonRecord
from spaces.policy.refusal import Code

MAX_TEXT = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What the guard says of acts that it refused: how many of one kind in one minute; empty text where unknown."""

    actor: str
    room: str
    code: str
    act: str
    subject: str
    count: int
    minute: int


def parse_refusal(item: Any) -> Refusal:
    """The refusal in the JSON value ``item``; text is cut to what the ledger holds.

    Raises:
        InvalidInputError: It is none.
    """
    try:
        texts = {name: str(item[name])[:MAX_TEXT] for name in ("actor", "room", "code", "act")}
        subject = str(item.get("subject", ""))[:MAX_TEXT]
        return Refusal(**texts, subject=subject, count=int(item["count"]), minute=int(item["minute"]))
    except (KeyError, TypeError, ValueError):
        raise InvalidInputError("a refusal has actor, room, code, act, minute and count") from None


def refusal_draft(refusal: Refusal, room: RoomContext, people: Mapping[str, PersonRecord], bot: str) -> Draft:
    """The ledger entry for ``refusal`` in ``room``."""
    known = Context(bot=bot, people={user: one.person for user, one in people.items()})
    acting = actor_of(refusal.actor, known) if refusal.actor else system_actor("homeserver")
    data: dict[str, Any] = {"act": refusal.act, "count": refusal.count, "minute": refusal.minute}
    if refusal.code == Code.GUARD_FAILED:
        draft = Draft(kind="guard.crashed", actor=acting, data=data)
    else:
        named, hidden = _subject(refusal.subject, room, people, known)
        data |= {"code": refusal.code, **named}
        draft = Draft(kind="guard.refused", actor=acting, data=data, disclose=hidden)
    own = (people[refusal.actor].company,) if refusal.actor in people else ()
    if not refusal.room:
        return replace(draft, companies=own)
    if room.companies and ("system" in acting or {*own} & {*room.companies}):
        return replace(draft, room=refusal.room, engagement=room.engagement, companies=room.companies)
    return replace(draft, companies=own, data={**data, "place": refusal.room})


def _subject(
    user_id: str, room: RoomContext, people: Mapping[str, PersonRecord], known: Context
) -> tuple[dict[str, Any], dict[str, str]]:
    """Whom an act was about: as data, or, in a room that is not of their company, as a disclosure of what was typed.

    So the entry is the same whether there is such a person or not.
    """
    if not user_id:
        return {}, {}
    subject, company = actor_of(user_id, known), people[user_id].company if user_id in people else None
    if room.companies and company not in room.companies and "system" not in subject:
        return {}, {"subject": user_id}
    return {"subject": dict(subject)}, {}
