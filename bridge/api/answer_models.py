"""What committees publish, as it goes in and out of the API."""

from pydantic import BaseModel, ConfigDict, Field

from spaces.answer import MAX_ANSWER, MAX_QUESTION, Delivery


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AnswerPublish(_Model):
    """What every vendor is to read in its own room; the answer may have line breaks, and no other control characters.

    Name neither the asker nor a vendor in it: it is sent as it is.
    """

    answer: str = Field(description=f"1 to {MAX_ANSWER:,} characters")
    question: str = Field(default="", description=f"at most {MAX_QUESTION:,} characters; may be left out")


class DeliveryView(_Model):
    """How an answer fared in one vendor's room; ``problem`` is why it waits, or why it was dropped."""

    vendor: str
    state: Delivery
    at: str | None
    event_id: str | None
    problem: str | None


class AnswerView(_Model):
    """A published answer, and how it fared with each vendor."""

    id: str
    committee: str
    number: int
    question: str
    answer: str
    published_by: str
    published_at: str
    deliveries: list[DeliveryView]


class AnswerPublished(AnswerView):
    """An answer published just now; ``enforced``: the homeserver lets the helper into the rooms already."""

    enforced: bool
