"""What the calls about the ledger take and answer, beside those of ``bridge.api.models``."""

from pydantic import BaseModel, ConfigDict

from bridge.api.models import Count, NoQuery, Slug, Text


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GrowthQuery(NoQuery):
    """Between which two sizes of the log."""

    first: Count
    second: Count


class GrowthProof(_Model):
    """A consistency proof between two sizes of the log; hashes in base64."""

    first: int
    second: int
    proof: list[str]


class ExportOrder(_Model):
    """What to export: everything, or the part that is named.

    That is the trail of one company's rooms; of one room, by key or Matrix id; or the proof that a vendor was put out
    of a committee, for which both are named.
    """

    company: Slug | None = None
    room: Text | None = None
    committee: Slug | None = None
    vendor: Slug | None = None


class EventPlace(_Model):
    """Where a Matrix event stands in the ledger."""

    event: str
    room_id: str
    position: int


class RoomCompleteness(_Model):
    """A room's events at the homeserver and in the ledger; differences by event id."""

    room: str
    room_id: str
    events: int
    agrees: bool
    unrecorded: list[str]
    unknown: list[str]
    repeated: list[str]
