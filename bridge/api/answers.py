"""What committees publish to all vendors: the calls of members without a conflict of interest and partner managers."""

from typing import Any

from bridge.api.answer_models import AnswerPublish, AnswerPublished, AnswerView, DeliveryView
from bridge.api.authorisation import ForbiddenError
from bridge.api.call import Call, after, page
from bridge.api.models import NoBody, NoQuery, Page, PageQuery
from bridge.api.views import time
from config.clock import iso
from config.errors import InvalidInputError, NotFoundError
from partner_onboarding.access_store import Role
from spaces.answer import Answer, NotAPublisherError, demand_publisher


async def publish_answer(call: Call[NoQuery, AnswerPublish]) -> AnswerPublished:
    """Have an answer said to every vendor in its own room, in the same words; nothing in it says who asked."""
    manager = await demand_answering(call)
    made = await call.services.answers.publish(
        call.path["committee"],
        question=call.body.question,
        answer=call.body.answer,
        actor=call.actor,
        manager=manager,
    )
    enforced = await call.enforce(made.committee)
    call.services.mailbox.arrived.set()
    return AnswerPublished(**_fields(made), enforced=enforced)


async def list_answers(call: Call[PageQuery, NoBody]) -> Page[AnswerView]:
    """What a committee published, in order, and how each answer fared with each vendor."""
    await demand_answering(call, looking=True)
    rows = await call.services.answers.page(
        call.path["committee"], after=_number(after(call.query)), limit=call.query.limit + 1
    )
    return page(rows, call.query, lambda item: str(item.number), lambda item: AnswerView(**_fields(item)))


async def show_answer(call: Call[NoQuery, NoBody]) -> AnswerView:
    """One answer, and how it fared with each vendor."""
    await demand_answering(call, looking=True)
    return AnswerView(**_fields(await call.services.answers.get(call.path["committee"], call.path["answer"])))


async def demand_answering(call: Call[Any, Any], *, looking: bool = False) -> bool:
    """Return when the caller may: a member who declared none, a partner manager, and any role to look.

    Whoever declared a conflict may not, whatever else they are. Returns whether they are a partner manager.

    Raises:
        ForbiddenError: They may not. Whether there is such a committee, they do not learn.
        NotFoundError: There is none, and they would learn of it if there were.
    """
    principal, committee_id = call.signed_in, call.path["committee"]
    manager = Role.PARTNER_MANAGER in principal.roles
    trusted = manager or (looking and bool(principal.roles))
    found = await call.services.committees.find(committee_id)
    if found is None and trusted:
        raise NotFoundError(f"no committee {committee_id!r}", hint="conclave committee list")
    try:
        if found is None or not (trusted or any(item.person == principal.person for item in found.members)):
            who = "a member or a role" if looking else "a member or partner-manager"
            raise NotAPublisherError(
                f"{principal.name} has no say in {committee_id}; this needs {who}", hint="ask the chair"
            )
        demand_publisher(found, principal.person, manager=trusted)
    except NotAPublisherError as error:
        raise ForbiddenError(error.message, hint=error.hint) from None
    return manager


def _number(cursor: str) -> int:
    """The number of the last answer of the page before."""
    if not cursor:
        return 0
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 9:
        raise InvalidInputError("cursor is not the `next` of an earlier page", field="cursor")
    return int(cursor)


def _fields(item: Answer) -> dict[str, Any]:
    return {
        "id": item.id,
        "committee": item.committee,
        "number": item.number,
        "question": item.question,
        "answer": item.answer,
        "published_by": item.published_by,
        "published_at": iso(item.published_at),
        "deliveries": [
            DeliveryView(
                vendor=one.vendor, state=one.state, at=time(one.at), event_id=one.event_id, problem=one.problem
            )
            for one in item.deliveries
        ],
    }
