"""The helper at work: one task that deals with what lies in its box, apart from feed, ledger and reconciler.

Whatever fails here is counted, said in the log and tried again with back-off; nothing else of the hub waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from bridge import metrics
from bridge.helper import answers
from bridge.helper.account import HelperAccount
from bridge.helper.answers import Ask
from bridge.helper.errands import ForCommittees
from bridge.helper.machine import NoKeyError
from bridge.helper.mailbox import FOREVER, Mailbox
from bridge.helper.rooms import HelperRooms
from bridge.helper.store import HelperStore, Mail, MailKind
from bridge.helper.throttle import Throttle
from config.clock import DAY, HOUR, MINUTE, SECOND, Clock, Millis
from config.db import Database
from config.errors import ConclaveError
from spaces.gateway import HomeserverError, HomeserverRefusedError

log = structlog.get_logger()

POLL_S = 2.0
MAX_BACKOFF_S = 60.0
MAIL_TIMEOUT_S = 60
BATCH = 100
MAX_BACKOFF_MS = 5 * MINUTE
KEY_PATIENCE = 30 * SECOND
MESSAGE_PATIENCE = HOUR
REFUSAL_PATIENCE = DAY
LOOK_EVERY = 10 * MINUTE
OPEN_EVERY = 30 * SECOND
NO_DEVICE_DELAY = 6 * HOUR  # a new device is heard of, and hurries what waits
HINT_EVERY = 12 * HOUR
SLOWER_EVERY = 10 * MINUTE


class LaterError(Exception):
    """It cannot be dealt with now, for a reason that may pass; ``delay`` is when to look again, if not soon."""

    def __init__(self, reason: str, *, delay: Millis | None = None) -> None:
        super().__init__(reason)
        self.delay = delay


@dataclass(slots=True)
class HelperState:
    """How the helper does, for people: ``problem`` is empty when all is well."""

    problem: str = "not set up yet"
    waiting: dict[str, int] = field(default_factory=dict)

    def detail(self) -> str:
        """One line."""
        waiting = sum(self.waiting.values())
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.waiting.items()))
        state = self.problem or "answers"
        return f"{state}; {waiting} waiting ({kinds})" if waiting else f"{state}; nothing waiting"


class Helper:
    """Serves every person's chat. ``connect`` opens the helper's keys; ``opened`` is told of new engagements."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        mailbox: Mailbox,
        rooms: HelperRooms,
        committees: ForCommittees,
        *,
        connect: Callable[[], HelperAccount],
        opened: Callable[..., None],
        watch: Callable[[str, set[str]], Awaitable[None]],
    ) -> None:
        self._db = db
        self._clock = clock
        self._mailbox = mailbox
        self.rooms = rooms
        self._committees = committees
        self._connect = connect
        self._opened = opened
        self._watch = watch
        self._throttle = Throttle()
        self._looked_at = self._opened_at = 0
        self.state = HelperState()

    async def run(self) -> None:
        """Serve until cancelled; on PostgreSQL one hub at a time does. A failure ends in another try, later."""
        backoff = 1.0
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                async with self._db.leadership("helper") as leader:
                    if leader:
                        await self._serve()
                self.state.problem = "another hub serves"
            except ConclaveError as error:
                log.warning("helper_waits", code=error.code, reason=error.message)
                self.state.problem = error.message
            except Exception as error:  # the helper's failure is nobody else's
                log.exception("helper_failed")
                self.state.problem = f"internal error ({type(error).__name__}); see the hub's log"
            metrics.HELPER_FAILURES.inc()
            backoff = 1.0 if loop.time() - began > MAX_BACKOFF_S else min(backoff * 2, MAX_BACKOFF_S)
            await asyncio.sleep(backoff)

    async def _serve(self) -> None:
        account = self._connect()
        try:
            async with asyncio.timeout(MAIL_TIMEOUT_S):
                await account.set_up()
            self.state.problem = ""
            log.info("helper_ready", device=account.machine.device_id)
            while True:
                self._mailbox.arrived.clear()
                await self._open_chats()
                busy = await self._work(account)
                busy = await self._committees.errands.work(account) > 0 or busy
                await self._look_after(account)
                if not busy:
                    await self._wait()
        finally:
            account.machine.close()

    async def _open_chats(self) -> None:
        """Everyone who enrolled gets a chat: at once where this hub enrolled them, else within half a minute."""
        if not self._mailbox.someone_enrolled and self._clock() - self._opened_at < OPEN_EVERY:
            return
        self._mailbox.someone_enrolled, self._opened_at = False, self._clock()
        while opened := await self.rooms.open_missing():
            self._opened(*opened)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self._mailbox.arrived.wait()
        except TimeoutError:
            return

    async def _look_after(self, account: HelperAccount) -> None:
        """Keep one-time keys on the homeserver, and other devices off the account."""
        count = self._mailbox.key_counts.pop(account.machine.device_id, None)
        if count is not None:
            await account.replenish(count)
        if self._clock() - self._looked_at > LOOK_EVERY:
            self._looked_at = self._clock()
            await account.set_up()
            await self._watch(account.user_id, {account.machine.device_id})

    # --- the box

    async def _work(self, account: HelperAccount) -> bool:
        """Deal with what is due, the oldest first; whether something was."""
        async with self._db.read() as connection:
            due = await HelperStore(connection).due(self._clock(), BATCH)
        for mail in due:
            await self._handle(account, mail)
            await asyncio.sleep(0)
        async with self._db.read() as connection:
            self.state.waiting = await HelperStore(connection).counts()
        metrics.HELPER_WAITING.set(sum(self.state.waiting.values()))
        return bool(due)

    async def _handle(self, account: HelperAccount, mail: Mail) -> None:
        """One thing, once: what it leads to is done before it is dropped, and doing it again changes nothing."""
        try:
            async with asyncio.timeout(MAIL_TIMEOUT_S):
                done = await self._deal(account, mail)
        except LaterError as reason:
            await self._put_off(mail, str(reason), reason.delay)
            return
        except HomeserverError as error:
            if isinstance(error, HomeserverRefusedError) and error.errcode == "M_UNKNOWN_DEVICE":
                raise
            await self._put_off(mail, error.message)
            return
        except TimeoutError:
            await self._put_off(mail, "no answer in time")
            return
        except ConclaveError:
            raise
        except Exception:  # one message must not stop the others
            log.exception("helper_mail_failed", mail=mail.id, kind=mail.kind.value)
            await self._put_off(mail, "internal error")
            return
        metrics.HELPER_MAIL.labels(mail.kind.value, done).inc()
        async with self._db.begin() as tx:
            await HelperStore(tx).remove([mail.id])

    async def _put_off(self, mail: Mail, reason: str, delay: Millis | None = None) -> None:
        """Try again after 1, 2, 4 … seconds, at most five minutes; in the end say so in the log and let go."""
        patience = {MailKind.MESSAGE: MESSAGE_PATIENCE, MailKind.GREETING: FOREVER}.get(mail.kind, REFUSAL_PATIENCE)
        now = self._clock()
        async with self._db.begin() as tx:
            if now - mail.at > patience:
                log.warning("helper_gave_up", mail=mail.id, kind=mail.kind.value, user_id=mail.user_id, reason=reason)
                metrics.HELPER_MAIL.labels(mail.kind.value, "given up").inc()
                await HelperStore(tx).remove([mail.id])
                return
            delay = delay or min(SECOND << min(mail.attempts, 20), MAX_BACKOFF_MS)
            await HelperStore(tx).put_off(mail, now + delay)
        log.info("helper_puts_off", mail=mail.id, kind=mail.kind.value, again_in_ms=delay, reason=reason)

    async def _deal(self, account: HelperAccount, mail: Mail) -> str:
        if mail.kind is MailKind.TO_DEVICE:
            taken = account.machine.take(mail.body)
            await self._forget_rooms(account)
            return "taken" if taken else "not taken"
        if mail.kind is MailKind.DEVICES:
            return await self._devices_changed(account, mail)
        if mail.kind is MailKind.GREETING:
            return await self._greet(account, mail)
        if mail.kind is MailKind.REFUSAL:
            return await self._explain(account, mail)
        return await self._answer(account, mail)

    async def _forget_rooms(self, account: HelperAccount) -> None:
        """Drop keys of rooms that are no chat: clients give them while the helper is there to say something."""
        for room_id in account.machine.keyed():
            if not await self.rooms.is_chat(room_id):
                account.machine.forget(room_id)

    async def _devices_changed(self, account: HelperAccount, mail: Mail) -> str:
        account.machine.changed(mail.user_id)
        async with self._db.begin() as tx:
            await HelperStore(tx).hurry(mail.user_id)
        return "noted"

    async def _greet(self, account: HelperAccount, mail: Mail) -> str:
        await self._say(account, mail, answers.GREETING, room_id=await self._chat(mail.user_id))
        return "said"

    async def _explain(self, account: HelperAccount, mail: Mail) -> str:
        chat = await self._chat(mail.user_id)
        rooms = await self.rooms.seen_by(mail.user_id)
        room = next((item for item in rooms if item.room_id == mail.body["room"]), None)
        text = answers.explain(str(mail.body["code"]), str(mail.body["act"]), room)
        await self._say(account, mail, text, room_id=chat)
        return "said"

    async def _chat(self, user_id: str) -> str:
        chat = await self.rooms.chat_of(user_id)
        if chat is None:
            raise LaterError("the person is not in their chat")
        return chat

    async def _answer(self, account: HelperAccount, mail: Mail) -> str:
        chat = await self._chat(mail.user_id)
        if chat != mail.room_id:
            return "not their chat"
        text = await self._opened_text(account, mail)
        if text is None:
            await self._say(account, mail, answers.UNREADABLE, room_id=chat)
            return "unreadable"
        if not self._throttle.admits(mail.user_id, mail.tag, self._clock()):
            return await self._once(account, mail, "SLOWER", answers.SLOWER, SLOWER_EVERY)
        command = answers.command_of(text)
        if command.ask is Ask.UNKNOWN:
            return await self._once(account, mail, "HINT", answers.HINT, HINT_EVERY)
        await self._say(account, mail, await self._text(command, mail), room_id=chat)
        return "said"

    async def _text(self, command: answers.Command, mail: Mail) -> str:
        if command.ask is Ask.HELP:
            return answers.HELP
        if command.ask in (Ask.COMMITTEE, Ask.CLEAR, Ask.DECLARE, Ask.ANSWER):
            return await self._committees.chat.answer(command, mail.user_id, mail.tag)
        rooms = await self.rooms.seen_by(mail.user_id)
        if command.ask is Ask.RULES:
            return answers.rules(rooms)
        if command.ask is Ask.WHO and not command.argument:
            return answers.who_usage(rooms)
        meant = answers.named(command.argument, rooms)[: answers.MAX_SHOWN]
        parts = [answers.who(room, await self.rooms.people_in(room.room_id)) for room in meant]
        return "\n\n".join(parts) or answers.no_such_room(command.argument)

    async def _opened_text(self, account: HelperAccount, mail: Mail) -> str | None:
        """What the person wrote; empty for what is no text; ``None`` when its key did not come in time.

        Raises:
            LaterError: Its key may still come.
        """
        try:
            content: Any = (await self._opened_event(account, mail)).get("content", {})
        except NoKeyError as error:
            if self._clock() - mail.at < KEY_PATIENCE:
                raise LaterError(str(error)) from None
            log.warning("helper_cannot_read", user_id=mail.user_id, reason=str(error))
            return None
        body = content.get("body") if content.get("msgtype") == "m.text" else ""
        return body if isinstance(body, str) else ""

    async def _opened_event(self, account: HelperAccount, mail: Mail) -> dict[str, Any]:
        """The event in ``mail``, with a look for its key where no transaction brought it."""
        await account.learn_devices(mail.user_id)
        try:
            return account.machine.open(mail.body)
        except NoKeyError:
            log.info("helper_catches_up", keys=await account.catch_up())
            await account.learn_devices(mail.user_id)
            return account.machine.open(mail.body)

    async def _once(self, account: HelperAccount, mail: Mail, code: str, text: str, every: Millis) -> str:
        """Say ``text`` unless it was said a short while ago.

        The note is taken first: killed in between, the text is not said, and the next message brings it.
        """
        async with self._db.begin() as tx:
            if not await HelperStore(tx).notice(mail.user_id, code, self._clock(), every):
                log.info("helper_leaves_unanswered", user_id=mail.user_id, code=code)
                return "left unanswered"
        await self._say(account, mail, text, room_id=await self._chat(mail.user_id))
        return "said"

    async def _say(self, account: HelperAccount, mail: Mail, text: str, *, room_id: str) -> None:
        """Send ``text`` to every device of the person whom ``mail`` concerns.

        Raises:
            LaterError: None of their devices can be written to.
        """
        machine = account.machine
        reached = await account.reach(room_id, mail.user_id)
        if unreached := machine.unreached(room_id):
            metrics.HELPER_UNREACHED.inc(unreached)
            log.info("helper_device_without_keys", user_id=mail.user_id, devices=unreached)
        if not reached:
            machine.end_session(room_id)
            known = bool(machine.devices(mail.user_id))
            raise LaterError("no device of the person can be written to", delay=None if known else NO_DEVICE_DELAY)
        await account.send(room_id, text, mail.tag)
        if unreached:
            machine.end_session(room_id)
