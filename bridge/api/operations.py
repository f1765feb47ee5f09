"""Every call of the API, version 1, in one table: method, path, what it needs, what goes in, what comes out.

Routing, authorisation, input checks and the OpenAPI document all follow from this table.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from bridge.api import access, answers, committees, federation, holds, ledger, partners, plans, walls
from bridge.api import answer_models as am
from bridge.api import committee_models as cm
from bridge.api import ledger_models as lm
from bridge.api import models as m
from bridge.api import models_holds as h
from bridge.api import plan_models as pm
from bridge.api import wall_models as wm
from bridge.api.authorisation import Permission
from bridge.api.call import Call
from bridge.api.federation_models import RemoteEnrolment

Handler = Callable[[Call[Any, Any]], Awaitable[BaseModel]]
StreamHandler = Callable[[Call[Any, Any], web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call. Its description in the OpenAPI document is its handler's docstring.

    ``secrets`` are members of the answer that are shown once: a repeated call with the same ``Idempotency-Key`` gets
    null in their place. ``media_type`` is set when the answer is a stream instead of JSON. ``problems`` are statuses
    beyond those that every such call may answer with.
    """

    method: str
    path: str
    needs: Permission
    handler: Handler | StreamHandler
    answer: Any = None
    query: type[BaseModel] = m.NoQuery
    body: type[BaseModel] = m.NoBody
    status: int = 200
    secrets: tuple[str, ...] = ()
    media_type: str = "application/json"
    problems: tuple[int, ...] = ()

    @property
    def needs_body(self) -> bool:
        """Whether a call has to say something in its body."""
        return any(member.is_required() for member in self.body.model_fields.values())

    @property
    def id(self) -> str:
        """The operation's name, such as ``add-company``."""
        return self.handler.__name__.replace("_", "-")

    @property
    def writes(self) -> bool:
        """Whether it changes anything, and so takes an ``Idempotency-Key``."""
        return self.method != "GET"


def _read(path: str, needs: Permission, handler: Handler, answer: Any, query: type[BaseModel] = m.NoQuery) -> Operation:
    return Operation(method="GET", path=path, needs=needs, handler=handler, answer=answer, query=query)


def _write(
    path: str,
    needs: Permission,
    handler: Handler,
    answer: Any,
    body: type[BaseModel] = m.NoBody,
    *,
    status: int = 200,
    secrets: tuple[str, ...] = (),
) -> Operation:
    return Operation(
        method="POST",
        path=path,
        needs=needs,
        handler=handler,
        answer=answer,
        body=body,
        status=status,
        secrets=secrets,
    )


P = Permission

OPERATIONS: tuple[Operation, ...] = (
    # the hub itself
    _read("/v1/whoami", P.SIGNED_IN, access.whoami, m.WhoAmI),
    _read("/v1/status", P.SIGNED_IN, access.show_status, m.StatusView),
    # companies
    _write("/v1/companies", P.CHANGE_PARTNERS, partners.add_company, m.CompanyView, m.CompanyAdd, status=201),
    _read("/v1/companies", P.READ_PARTNERS, partners.list_companies, m.Page[m.CompanyView], m.PageQuery),
    _read("/v1/companies/{company}", P.READ_PARTNERS, partners.show_company, m.CompanyView),
    _write("/v1/companies/{company}/suspend", P.CHANGE_PARTNERS, partners.suspend_company, m.CompanyChanged, m.Reason),
    _write("/v1/companies/{company}/resume", P.CHANGE_PARTNERS, partners.resume_company, m.CompanyChanged),
    _write(
        "/v1/companies/{company}/change", P.CHANGE_PARTNERS, holds.change_company, m.CompanyChanged, h.CompanyLimits
    ),
    # people
    _write(
        "/v1/people",
        P.CHANGE_PARTNERS,
        partners.invite_person,
        m.InvitationView,
        m.PersonInvite,
        status=201,
        secrets=("link",),
    ),
    Operation(
        method="POST",
        path="/v1/enrol",
        needs=P.ANYONE,
        handler=partners.enrol,
        answer=m.Enrolled,
        body=m.Enrolment,
        status=201,
        problems=(410, 502),
    ),
    Operation(
        method="POST",
        path="/v1/enrol/remote",
        needs=P.ANYONE,
        handler=federation.enrol_remote,
        answer=m.Enrolled,
        body=RemoteEnrolment,
        status=201,
        problems=(410,),
    ),
    _read("/v1/people", P.READ_PARTNERS, partners.list_people, m.Page[m.PersonView], m.PersonQuery),
    _read("/v1/people/{person}", P.READ_PARTNERS, partners.show_person, m.PersonDetail),
    _write("/v1/people/{person}/suspend", P.CHANGE_PARTNERS, partners.suspend_person, m.PersonChanged, m.Reason),
    _write("/v1/people/{person}/resume", P.CHANGE_PARTNERS, partners.resume_person, m.PersonChanged),
    # teams of the host company
    _read("/v1/teams", P.READ_PARTNERS, partners.list_teams, m.Page[m.TeamView]),
    _read("/v1/teams/{team}", P.READ_PARTNERS, partners.show_team, m.TeamDetail),
    _write("/v1/teams/{team}/join", P.CHANGE_PARTNERS, partners.join_team, m.PersonChanged, m.TeamMember),
    _write("/v1/teams/{team}/leave", P.CHANGE_PARTNERS, partners.leave_team, m.PersonChanged, m.TeamMember),
    # partnerships and rooms
    _write(
        "/v1/partnerships",
        P.CHANGE_PARTNERS,
        partners.open_partnership,
        m.PartnershipDetail,
        m.PartnershipOpen,
        status=201,
    ),
    _read("/v1/partnerships", P.READ_PARTNERS, partners.list_partnerships, m.Page[m.PartnershipView], m.PageQuery),
    _read("/v1/partnerships/{partnership}", P.READ_PARTNERS, partners.show_partnership, m.PartnershipDetail),
    _write(
        "/v1/partnerships/{partnership}/close",
        P.CHANGE_PARTNERS,
        partners.close_partnership,
        m.PartnershipDetail,
        m.Reason,
    ),
    _read("/v1/rooms", P.READ_PARTNERS, partners.list_rooms, m.Page[m.RoomView], m.PageQuery),
    _read("/v1/rooms/{room}", P.READ_PARTNERS, partners.show_room, m.RoomDetail),
    # committees: the handlers ask for the chair or a partner manager, and let members declare for themselves
    _write(
        "/v1/committees", P.CHANGE_PARTNERS, committees.open_committee, cm.CommitteeDetail, cm.CommitteeOpen, status=201
    ),
    _read("/v1/committees", P.SIGNED_IN, committees.list_committees, m.Page[cm.CommitteeView], m.PageQuery),
    _read("/v1/committees/{committee}", P.SIGNED_IN, committees.show_committee, cm.CommitteeDetail),
    _read("/v1/committees/{committee}/timeline", P.SIGNED_IN, committees.committee_timeline, cm.Timeline),
    *(
        _write(f"/v1/committees/{{committee}}/{name}", P.SIGNED_IN, handler, cm.CommitteeDetail, body)
        for name, handler, body in (
            ("vendors", committees.add_vendor, cm.VendorAdd),
            ("members", committees.add_member, cm.MemberAdd),
            ("members/remove", committees.remove_member, cm.MemberSeat),
            ("chair", committees.hand_on_chair, cm.MemberSeat),
            ("declare", committees.declare_interest, cm.Declaration),
            ("schedule", committees.schedule_committee, cm.CommitteeSchedule),
            ("start", committees.start_committee, m.NoBody),
            ("clear", committees.clear_committee, m.NoBody),
            ("decide", committees.decide_committee, cm.Decision),
            ("debrief", committees.debrief_vendor, cm.VendorAdd),
            ("close", committees.close_committee, m.Reason),
        )
    ),
    _write("/v1/committees/{committee}/try", P.SIGNED_IN, committees.try_act, cm.Tried, cm.Trial),
    # what committees publish: the handlers ask for a member without a conflict or a partner manager
    _write(
        "/v1/committees/{committee}/answers",
        P.SIGNED_IN,
        answers.publish_answer,
        am.AnswerPublished,
        am.AnswerPublish,
        status=201,
    ),
    _read("/v1/committees/{committee}/answers", P.SIGNED_IN, answers.list_answers, m.Page[am.AnswerView], m.PageQuery),
    _read("/v1/committees/{committee}/answers/{answer}", P.SIGNED_IN, answers.show_answer, am.AnswerView),
    # walls
    _write("/v1/walls", P.CHANGE_WALLS, walls.add_wall, wm.WallView, wm.WallAdd, status=201),
    _read("/v1/walls", P.READ_PARTNERS, walls.list_walls, m.Page[wm.WallView], m.PageQuery),
    _write("/v1/walls/{first}/{second}/remove", P.CHANGE_WALLS, walls.remove_wall, wm.WallView, m.Reason),
    # legal holds
    _write("/v1/holds", P.CHANGE_HOLDS, holds.place_hold, h.HoldChanged, h.HoldPlace, status=201),
    _read("/v1/holds", P.READ_HOLDS, holds.list_holds, m.Page[h.HoldView], m.PageQuery),
    _write("/v1/holds/{hold}/lift", P.CHANGE_HOLDS, holds.lift_hold, h.HoldChanged, m.Reason),
    # plans
    Operation(
        method="GET",
        path="/v1/plan",
        needs=P.READ_PARTNERS,
        handler=plans.show_plan,
        answer=pm.PlanView,
        query=pm.PlanQuery,
        problems=(404,),
    ),
    _write("/v1/plan/apply", P.CHANGE_PARTNERS, plans.apply_plan, pm.PlanApplied, pm.PlanApply),
    # roles and credentials
    _read("/v1/roles", P.READ_ACCESS, access.list_roles, m.Page[m.RoleView]),
    _write("/v1/roles/grant", P.CHANGE_ACCESS, access.grant_role, m.RoleView, m.RoleChange),
    _write("/v1/roles/revoke", P.CHANGE_ACCESS, access.revoke_role, m.RoleView, m.RoleChange),
    _write(
        "/v1/credentials",
        P.CHANGE_ACCESS,
        access.issue_credential,
        m.CredentialIssued,
        m.CredentialIssue,
        status=201,
        secrets=("token",),
    ),
    Operation(
        method="GET",
        path="/v1/credentials",
        needs=P.READ_ACCESS,
        handler=access.list_credentials,
        answer=m.Page[m.CredentialView],
        query=m.CredentialQuery,
        problems=(404, 409),
    ),
    _write("/v1/credentials/{credential}/revoke", P.CHANGE_ACCESS, access.revoke_credential, m.CredentialView),
    _write("/v1/logout", P.SIGNED_IN, access.revoke_own_credential, m.CredentialView),
    # the ledger
    _read("/v1/ledger", P.READ_LEDGER, ledger.show_ledger, m.LedgerView),
    _read("/v1/ledger/entries", P.READ_LEDGER, ledger.list_entries, m.Page[m.EntryView], m.EntryQuery),
    _read("/v1/ledger/entries/{position}", P.READ_LEDGER, ledger.show_entry, m.EntryProof),
    _read("/v1/ledger/events/{event}", P.READ_LEDGER, ledger.find_event, lm.EventPlace),
    _read("/v1/ledger/rooms/{room}", P.READ_LEDGER, ledger.compare_room, lm.RoomCompleteness),
    _read("/v1/ledger/consistency", P.READ_LEDGER, ledger.prove_growth, lm.GrowthProof, lm.GrowthQuery),
    _write("/v1/exports", P.EXPORT_LEDGER, ledger.order_export, m.ExportView, lm.ExportOrder, status=201),
    Operation(
        method="GET",
        path="/v1/exports/{position}/bundle",
        needs=P.EXPORT_LEDGER,
        handler=ledger.export_bundle,
        media_type="application/x-tar",
    ),
)
