"""Legal holds and limits: the calls of compliance officers, and what partner managers change of a company."""

from bridge.api.call import Call, after, page
from bridge.api.models import CompanyChanged, NoBody, NoQuery, Page, PageQuery, Reason
from bridge.api.models_holds import CompanyLimits, HoldChanged, HoldPlace, HoldView
from bridge.api.views import company_view, time
from config.clock import iso
from partner_onboarding.hold_store import Hold


async def place_hold(call: Call[NoQuery, HoldPlace]) -> HoldChanged:
    """Begin a legal hold on a partnership, committee or person: what was said there stays, so do rooms and account."""
    body = call.body
    hold = await call.services.holds.place(
        partnership=body.partnership, person=body.person, reason=body.reason, actor=call.actor
    )
    return HoldChanged(hold=_view(hold), enforced=await call.enforce())


async def lift_hold(call: Call[NoQuery, Reason]) -> HoldChanged:
    """End a legal hold. What another hold covers too stays held."""
    hold = await call.services.holds.lift(call.path["hold"], reason=call.body.reason, actor=call.actor)
    return HoldChanged(hold=_view(hold), enforced=await call.enforce())


async def list_holds(call: Call[PageQuery, NoBody]) -> Page[HoldView]:
    """Every legal hold that ever was, in the order of their ids."""
    rows = await call.services.holds.page(after=after(call.query), limit=call.query.limit + 1)
    return page(rows, call.query, lambda hold: hold.id, _view)


async def change_company(call: Call[NoQuery, CompanyLimits]) -> CompanyChanged:
    """Change what a company may do."""
    company = await call.services.limits.change_upload(call.path["company"], call.body.max_upload, actor=call.actor)
    return CompanyChanged(company=company_view(company), enforced=await call.enforce())


def _view(hold: Hold) -> HoldView:
    return HoldView(
        id=hold.id,
        partnership=hold.partnership,
        person=hold.person,
        reason=hold.reason,
        placed_at=iso(hold.placed_at),
        placed_by=hold.placed_by,
        lifted_at=time(hold.lifted_at),
        lifted_by=hold.lifted_by,
    )
