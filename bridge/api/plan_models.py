"""Plans as they go in and out of the API; the form is that of ``spaces.plan_file``."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Key = Annotated[str, Field(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")]
Words = Annotated[str, Field(max_length=2_000)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlanQuery(_Model):
    """Everything, or one engagement."""

    engagement: Key | None = None


class ActionView(_Model):
    """One thing to do, in words, and the piece of the room that it is about."""

    do: Literal["create-room", "set-state", "add-member", "remove-member"]
    type: Key
    state_key: Key
    text: Words


class RoomPlanView(_Model):
    """What there is to do to one room, and digests of what that rests on."""

    key: Key
    name: Words
    engagement: Key
    room_id: Key | None
    wanted: Digest
    found: Digest
    actions: list[ActionView]


class PlanView(_Model):
    """What would change, room by room; a file of it is what ``conclave apply`` takes."""

    format: str = Field(max_length=40)
    hub: Key
    made_at: Key
    engagement: Key | None
    rooms: list[RoomPlanView]


class PlanApply(_Model):
    """A plan to carry out; with ``check`` only whether it still fits."""

    plan: PlanView
    check: bool = False


class AppliedView(_Model):
    """What became of one action."""

    room: str
    name: str
    text: str
    status: str
    problem: str | None


class PlanApplied(_Model):
    """What became of each action; empty when the plan was only checked."""

    actions: list[AppliedView]
    failed: int
