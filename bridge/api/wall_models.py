"""Walls, as they go in and out of the API."""

from pydantic import BaseModel, ConfigDict

from bridge.api.models import Slug, Text


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WallAdd(_Model):
    """Two companies to keep apart, in either order; the reason is kept in the ledger."""

    first: Slug
    second: Slug
    reason: Text


class WallView(_Model):
    """Two companies that must never meet."""

    first: str
    second: str
    reason: str
    added_at: str
    added_by: str
