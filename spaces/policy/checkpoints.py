"""The log's checkpoints in the Spaces: the one thing that the hub writes there for people's own clients to keep. Pure.

The form is closed, as in ``spaces.policy.envelope``: a signed note of three lines (C2SP tlog-checkpoint) and the
sentence that follows from it. Whether the signature holds is for whoever keeps it: the guard has not the log's key.
"""

import re
from collections.abc import Mapping
from typing import Any

CHECKPOINT = "org.conclave.checkpoint"
"""The type of the state event, with an empty state key: each takes the place of the one before it."""

MAX_NOTE = 32_768
_NOTE = re.compile(
    r"(?P<origin>[^\s+]{1,255})\n(?P<size>0|[1-9][0-9]{0,18})\n(?P<root>[A-Za-z0-9+/]{43}=)\n"
    r"\n(?:— [^\s+]{1,255} [A-Za-z0-9+/]{8,8000}={0,2}\n){1,16}",
    re.ASCII,
)
BODY = (
    "Checkpoint of the audit log {origin}: {size} entries, root {root}. "
    "Keep it: with it anyone can tell later whether what came before it was changed."
)


def checkpoint_content(note: str) -> dict[str, Any]:
    """The content of the event that has the signed note ``note`` in it.

    Raises:
        ValueError: It is no checkpoint.
    """
    found = _match(note)
    if found is None:
        raise ValueError("the note is no checkpoint of three lines with signatures")
    return {"note": note, "body": BODY.format(**found.groupdict())}


def checkpoint_size(content: Mapping[str, Any], origin: str | None = None) -> int | None:
    """How many entries the checkpoint in an event's content is of.

    ``None`` where it is in another form, or of another log than ``origin``, where one is named.
    """
    found = _match(content.get("note"))
    if found is None or content != {"note": found.string, "body": BODY.format(**found.groupdict())}:
        return None
    return int(found["size"]) if origin in (None, found["origin"]) else None


def _match(note: object) -> re.Match[str] | None:
    if not isinstance(note, str) or len(note) > MAX_NOTE or not note.replace("\n", "").isprintable():
        return None
    return _NOTE.fullmatch(note)
