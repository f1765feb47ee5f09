"""Tell the story: on a hub of its own in a temporary place, or against a running one (``--hub``)."""

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from bridge.cli.client import HubClient, local_hub
from bridge.cli.errors import CallFailedError, complain
from bridge.demo.story import tell
from bridge.demo.telling import Narrator, Stage, StoryError
from bridge.demo.temporary import temporary_hub
from config.errors import ConclaveError

OUT = Path("build/demo")


def main() -> int:
    """Run; 0 only when everything held."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument(
        "--hub", help="address of a running hub; its administrator's credential in $CONCLAVE_CREDENTIAL_FILE"
    )
    parser.add_argument("--out", type=Path, default=OUT, help="where bundle, key and summary go")
    options = parser.parse_args()
    try:
        return asyncio.run(_run(options.hub, options.out))
    except ConclaveError as error:
        complain(error)
    except StoryError as error:
        sys.stderr.write(f"\nNOT AS IT SHOULD BE: {error}\n")
    return 1


async def _run(hub: str | None, out: Path) -> int:
    narrator = Narrator()
    with tempfile.TemporaryDirectory(prefix="conclave-demo-") as place:
        if hub is None:
            async with temporary_hub(Path(place), narrator) as client:
                stage = Stage(client=client, place=Path(place), out=out, host="contoso", suffix="")
                return await tell(stage, narrator)
        client = _remote(hub.rstrip("/"))
        status = client.get("/v1/status")
        suffix = "-" + os.urandom(3).hex()  # a hub that runs may have heard the story before
        stage = Stage(client=client, place=Path(place), out=out, host=status["host"], suffix=suffix)
        return await tell(stage, narrator)


def _remote(url: str) -> HubClient:
    path = os.environ.get("CONCLAVE_CREDENTIAL_FILE")
    if path:
        return HubClient(url=url, token=Path(path).read_text().strip())
    local = local_hub(Path(os.environ.get("CONCLAVE_STATE_DIR", ".conclave")))
    if local is None:
        raise CallFailedError(
            "the story needs an administrator's credential",
            code="no_credential",
            hint="CONCLAVE_CREDENTIAL_FILE=… make demo HUB=…",
        )
    return HubClient(url=url, token=local.token)


if __name__ == "__main__":
    sys.exit(main())
