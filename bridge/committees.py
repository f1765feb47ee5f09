"""The services of committees, put together from the settings."""

from collections.abc import Callable

from audit.inbox import Inbox
from bridge.homeserver_config import bot_user_id, helper_user_id
from config.clock import Clock
from config.db import Database
from config.settings import Settings
from spaces.answers import AnswerService
from spaces.committees import CommitteeService


def open_committees(
    settings: Settings, clock: Clock, db: Database, inbox: Inbox, new_id: Callable[[str], str]
) -> CommitteeService:
    """What partner managers and chairs do with committees."""
    return CommitteeService(
        db,
        inbox,
        clock,
        room_version=settings.homeserver.room_version,
        bot=bot_user_id(settings),
        host=settings.host.id,
        new_key=lambda: new_id("rm"),
    )


def open_answers(
    settings: Settings, clock: Clock, db: Database, inbox: Inbox, new_id: Callable[[str], str]
) -> AnswerService:
    """What committees publish; the helper says it, where the settings have one."""
    helper = helper_user_id(settings) if settings.helper.enabled else None
    return AnswerService(db, inbox, clock, helper=helper, new_id=new_id)
