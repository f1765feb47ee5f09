"""The witness as a service: cosigns a checkpoint where it extends the one before (C2SP tlog-witness)."""

import asyncio

import structlog
from aiohttp import web

from audit.cosignature import cosign
from audit.keys import verify_signature
from audit.tree import Head
from audit.witness import MAX_REQUEST, Submission, WitnessRefusedError, judge
from bridge.witness.folder import WitnessFolder
from config.clock import SECOND, Clock

log = structlog.get_logger()

SIZE = "text/x.tlog.size"


class WitnessService:
    """Cosigns for the logs in its folder, one request at a time; what it saw is on disk before it says so.

    Raises:
        WitnessFolderError, KeyFileError: The folder is not as it must be.
    """

    def __init__(self, folder: WitnessFolder, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._keys = folder.signing_keys()
        self._logs = folder.logs()
        self._turn = asyncio.Lock()

    async def add_checkpoint(self, body: bytes) -> str:
        """The cosignatures for the checkpoint in ``body``, a line for each key of the witness.

        Raises:
            WitnessRefusedError: It is not cosigned.
            WitnessFolderError: The witness's memory cannot be read or written.
        """
        submission = Submission.parse(body)
        async with self._turn:
            origin = submission.origin
            seen = self._folder.seen(origin) if origin in self._logs else Head()
            checkpoint = judge(submission, self._logs, seen, verify_signature)
            head = Head(checkpoint.size, checkpoint.root)
            if head != seen:
                await asyncio.to_thread(self._folder.remember, origin, head)
        text, now = checkpoint.text(), self._clock() // SECOND
        return "".join(cosign(text, key.cosigner, key, now) for key in self._keys)

    def app(self) -> web.Application:
        """The service, to be listened to."""

        async def add(request: web.Request) -> web.Response:
            try:
                line = await self.add_checkpoint(await request.read())
            except WitnessRefusedError as error:
                log.info("witness_refused", status=error.status, reason=str(error))
                if error.size is not None:
                    return web.Response(status=error.status, body=f"{error.size}\n".encode(), content_type=SIZE)
                return web.Response(status=error.status, text=f"{error}\n")
            return web.Response(text=line)

        app = web.Application(client_max_size=MAX_REQUEST)
        app.router.add_post("/add-checkpoint", add)
        return app
