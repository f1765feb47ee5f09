"""What goes in and out of the API where it is about holds and limits, version 1."""

from pydantic import BaseModel, ConfigDict, Field

from bridge.api.models import Enforced, Text


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HoldPlace(_Model):
    """A legal hold to begin, on one of the two."""

    partnership: Text | None = Field(default=None, description="id of a partnership or committee")
    person: Text | None = Field(default=None, description="id, e-mail address or Matrix user id")
    reason: Text


class HoldView(_Model):
    """A legal hold; it stands while ``lifted_at`` is null."""

    id: str
    partnership: str | None
    person: str | None
    reason: str
    placed_at: str
    placed_by: str
    lifted_at: str | None
    lifted_by: str | None


class HoldChanged(Enforced):
    """A hold, after a change that the guard enforces."""

    hold: HoldView


class CompanyLimits(_Model):
    """What a company may do."""

    max_upload: int | None = Field(ge=1, le=2**40, description="largest file in bytes; null: only the server's limit")
