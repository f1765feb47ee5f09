"""The pages behind an enrolment link. They work without scripts."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import segno
from aiohttp import web

from config.clock import iso
from config.errors import ConclaveError, InvalidInputError
from partner_onboarding.enrolment import EnrolmentService, OpenInvitation
from partner_onboarding.model import MIN_PASSWORD, InvitationError, Person


class Renderer(Protocol):
    """Makes a page from a template."""

    def render(self, template: str, *, status: int = 200, **values: Any) -> web.Response:
        """A page."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentPages:
    """Serves ``/enrol/{secret}``; ``enrolled`` is told about each new person, to let them into their rooms."""

    enrolment: EnrolmentService
    renderer: Renderer
    server: str
    homeserver: str
    enrolled: Callable[[Person], Awaitable[None]]

    def add_to(self, app: web.Application) -> None:
        """Add the pages to ``app``."""
        app.router.add_get("/enrol/{secret}", self.show)
        app.router.add_post("/enrol/{secret}", self.submit)

    async def show(self, request: web.Request) -> web.Response:
        """The form."""
        try:
            found = await self.enrolment.look(request.match_info["secret"])
        except ConclaveError as error:
            return self._problem(error)
        return self._form(found)

    async def submit(self, request: web.Request) -> web.Response:
        """Enrol, and show how to sign in."""
        secret = request.match_info["secret"]
        try:
            found = await self.enrolment.look(secret)
        except ConclaveError as error:
            return self._problem(error)
        try:
            form = await request.post()
        except (ValueError, LookupError):  # no boundary, no such character set
            return self._problem(InvalidInputError("this is not the form of this page", hint="open the link again"))
        if found.company.server is not None:
            return await self._submit_remote(secret, found, str(form.get("user_id", "")))
        username, password, repeat = (str(form.get(name, "")) for name in ("username", "password", "repeat"))
        try:
            if password != repeat:
                raise InvalidInputError("the two passwords differ; type the same one twice", field="repeat")
            person = await self.enrolment.enrol(secret, username=username, password=password)
        except InvalidInputError as error:
            return self._form(found, error=error, username=username, status=422)
        except ConclaveError as error:
            return self._problem(error)
        await self.enrolled(person)
        return self._welcome(person)

    async def _submit_remote(self, secret: str, found: OpenInvitation, user_id: str) -> web.Response:
        """Enrol with an account on the company's own homeserver, and show what happens there."""
        try:
            person = await self.enrolment.enrol_remote(secret, user_id=user_id)
        except InvalidInputError as error:
            return self._form(found, error=error, username=user_id, status=422)
        except ConclaveError as error:
            return self._problem(error)
        await self.enrolled(person)
        return self.renderer.render("enrolled_remote.html", person=person, bot=f"@conclave:{self.server}")

    def _form(
        self, found: OpenInvitation, *, error: InvalidInputError | None = None, username: str = "", status: int = 200
    ) -> web.Response:
        return self.renderer.render(
            "enrol.html" if found.company.server is None else "enrol_remote.html",
            status=status,
            person=found.person,
            company=found.company,
            role="an administrator" if found.person.role == "company-admin" else "a member",
            server=self.server,
            min_password=MIN_PASSWORD,
            expires=iso(found.invitation.expires_at)[:16].replace("T", " ") + " UTC",
            username=username,
            error=_sentence(error.message) if error else "",
            field=error.field if error else "",
        )

    def _welcome(self, person: Person) -> web.Response:
        code = segno.make(self.homeserver, error="m")
        return self.renderer.render(
            "enrolled.html",
            person=person,
            homeserver=self.homeserver,
            localpart=str(person.user_id).removeprefix("@").split(":")[0],
            qr=code.svg_data_uri(scale=4, border=1),
        )

    def _problem(self, error: ConclaveError) -> web.Response:
        gone = isinstance(error, InvitationError)
        return self.renderer.render(
            "problem.html",
            status=410 if gone else 503,
            title="This link cannot be used" if gone else "That did not work this time",
            message=_sentence(error.message),
            hint=_sentence(error.hint),
        )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""
