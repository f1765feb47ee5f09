"""A tree head in a file: what a signer or a witness remembers of a log, off every database."""

import base64
import json
from pathlib import Path

from audit.keys import write_whole
from audit.tree import HASH_SIZE, Head


def read_head(path: Path) -> Head:
    """The head in the file ``path``.

    Raises:
        OSError: It cannot be read.
        ValueError: It holds no head.
    """
    try:
        state = json.loads(path.read_bytes())
        head = Head(int(state["size"]), base64.b64decode(state["root"], validate=True))
    except (KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path} holds no tree head") from error
    if head.size < 0 or len(head.root) != HASH_SIZE:
        raise ValueError(f"{path} holds no tree head")
    return head


def write_head(path: Path, head: Head) -> None:
    """Have ``head`` in the file ``path`` and on disk, whole, when this returns; the old one until then."""
    text = json.dumps({"size": head.size, "root": base64.b64encode(head.root).decode()})
    write_whole(path, text.encode())
