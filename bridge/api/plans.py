"""Plans: what would change, and having it done."""

from dataclasses import asdict

from bridge.api.call import Call
from bridge.api.models import NoBody, NoQuery
from bridge.api.plan_models import (
    ActionView,
    AppliedView,
    PlanApplied,
    PlanApply,
    PlanQuery,
    PlanView,
    RoomPlanView,
)
from config.clock import iso
from config.errors import InvalidInputError
from spaces.plan_file import FORMAT, PlannedAction, RoomPlan


async def show_plan(call: Call[PlanQuery, NoBody]) -> PlanView:
    """What would have to change so that every room is what its charter says."""
    plans = await call.services.plans.plan(call.query.engagement)
    return PlanView(
        format=FORMAT,
        hub=call.services.settings.origin,
        made_at=iso(call.services.clock()),
        engagement=call.query.engagement,
        rooms=[_view(plan) for plan in plans],
    )


async def apply_plan(call: Call[NoQuery, PlanApply]) -> PlanApplied:
    """Carry out a plan, exactly; one that no longer fits is refused before anything is done."""
    plan, origin = call.body.plan, call.services.settings.origin
    if plan.format != FORMAT:
        raise InvalidInputError(f"the plan has the form {plan.format!r}, expected {FORMAT!r}", field="plan.format")
    if plan.hub != origin:
        raise InvalidInputError(f"the plan is for the hub {plan.hub!r}, this is {origin!r}", field="plan.hub")
    rooms = [_plan(room) for room in plan.rooms]
    if len({room.key for room in rooms}) < len(rooms):
        raise InvalidInputError("the plan has a room twice", field="plan.rooms")
    if call.body.check:
        await call.services.plans.check(rooms)
        return PlanApplied(actions=[], failed=0)
    applied = await call.services.plans.apply(rooms, actor=call.actor)
    actions = [AppliedView(**asdict(item)) for item in applied]
    return PlanApplied(actions=actions, failed=sum(item.status == "failed" for item in actions))


def _view(plan: RoomPlan) -> RoomPlanView:
    return RoomPlanView(**{**asdict(plan), "actions": [ActionView(**asdict(item)) for item in plan.actions]})


def _plan(view: RoomPlanView) -> RoomPlan:
    return RoomPlan(**{**view.model_dump(), "actions": tuple(_action(item) for item in view.actions)})


def _action(view: ActionView) -> PlannedAction:
    return PlannedAction(**view.model_dump())
