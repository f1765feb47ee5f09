"""Limits of a company that change while it is in the hub. A change and its entry are one transaction."""

from dataclasses import replace

from audit.entry import Draft, person_actor
from audit.inbox import Inbox
from config.clock import Clock
from config.db import Database
from config.errors import InvalidInputError, NotFoundError
from partner_onboarding.model import Company
from partner_onboarding.store import CompanyStore
from spaces.store import DocumentStore


class LimitService:
    """What partner managers change of a company."""

    def __init__(self, db: Database, inbox: Inbox, clock: Clock) -> None:
        self._db = db
        self._inbox = inbox
        self._clock = clock

    async def change_upload(self, company_id: str, max_upload: int | None, *, actor: str) -> Company:
        """Set the largest file in bytes that the company's people may share; ``None``: only the server's limit.

        Raises:
            InvalidInputError: The limit is not positive.
            NotFoundError: No such company.
        """
        check_upload(max_upload)
        async with self._db.begin() as tx:
            before = await CompanyStore(tx).get(company_id)
            if before is None:
                raise NotFoundError(f"no company {company_id!r}", hint="conclave company list")
            after = replace(before, max_upload=max_upload)
            await CompanyStore(tx).save(after)
            await DocumentStore(tx).put_company(after.record(), self._clock())
            data = {"company": company_id, "max_upload": max_upload, "before": before.max_upload}
            draft = Draft(kind="company.changed", actor=person_actor(actor), companies=(company_id,), data=data)
            await self._inbox.put(tx, draft)
        return after


def check_upload(max_upload: int | None) -> int | None:
    """``max_upload`` when it may be a limit.

    Raises:
        InvalidInputError: It is not positive.
    """
    if max_upload is not None and max_upload < 1:
        raise InvalidInputError(f"max_upload {max_upload}: expected at least 1 byte", field="max_upload")
    return max_upload
