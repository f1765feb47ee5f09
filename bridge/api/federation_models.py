"""What goes in and out of the calls about partners' own homeservers."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from bridge.api.models import Text


class RemoteEnrolment(BaseModel):
    """An invitation taken up by somebody with an account on their company's own homeserver."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    secret: Text
    user_id: Annotated[str, Field(max_length=255, examples=["@bob:partner.example"])]
