"""Roles and credentials of the host company's people, and the hub's own state."""

from bridge.api.call import Call, after, page
from bridge.api.models import (
    CredentialIssue,
    CredentialIssued,
    CredentialQuery,
    CredentialView,
    NoBody,
    NoQuery,
    Page,
    RoleChange,
    RoleView,
    StatusView,
    WhoAmI,
)
from bridge.api.views import credential_view
from bridge.version import SOFTWARE
from config.clock import iso


async def whoami(call: Call[NoQuery, NoBody]) -> WhoAmI:
    """Whose credential this is, and what it may do."""
    principal = call.signed_in
    return WhoAmI(
        person=principal.person,
        name=principal.name,
        company=principal.company,
        roles=sorted(principal.roles),
        credential=principal.credential,
        device=principal.device,
        expires_at=iso(principal.expires_at),
    )


async def list_roles(call: Call[NoQuery, NoBody]) -> Page[RoleView]:
    """Everyone who holds a role."""
    grants = await call.services.access.grants()
    return Page(items=[RoleView(person=person.id, name=person.name, role=role) for person, role in grants])


async def grant_role(call: Call[NoQuery, RoleChange]) -> RoleView:
    """Let a person of the host company do more."""
    person = await call.services.access.grant(call.body.person, call.body.role, actor=call.actor)
    return RoleView(person=person.id, name=person.name, role=call.body.role)


async def revoke_role(call: Call[NoQuery, RoleChange]) -> RoleView:
    """Take a role back."""
    person = await call.services.access.revoke_role(call.body.person, call.body.role, actor=call.actor)
    return RoleView(person=person.id, name=person.name, role=call.body.role)


async def issue_credential(call: Call[NoQuery, CredentialIssue]) -> CredentialIssued:
    """Make a credential for a person's device. Its token is shown this once."""
    body = call.body
    item, token = await call.services.access.issue(body.person, body.device, days=body.days, actor=call.actor)
    return CredentialIssued(credential=credential_view(item), token=token)


async def list_credentials(call: Call[CredentialQuery, NoBody]) -> Page[CredentialView]:
    """Credentials in the order of their ids."""
    rows = await call.services.access.credentials(
        call.query.person, after=after(call.query), limit=call.query.limit + 1
    )
    return page(rows, call.query, lambda item: item.id, credential_view)


async def revoke_credential(call: Call[NoQuery, NoBody]) -> CredentialView:
    """Make a credential useless."""
    item = await call.services.access.revoke(call.path["credential"], actor=call.actor)
    return credential_view(item)


async def revoke_own_credential(call: Call[NoQuery, NoBody]) -> CredentialView:
    """Make the credential of this very call useless."""
    item = await call.services.access.revoke(call.signed_in.credential, actor=call.actor)
    return credential_view(item)


async def show_status(call: Call[NoQuery, NoBody]) -> StatusView:
    """How the hub is doing, part by part."""
    checks = await call.services.readiness.checks()
    settings = call.services.settings
    return StatusView(
        version=SOFTWARE,
        host=call.services.host,
        homeserver=settings.homeserver.client_url,
        ready=all(check.ok for check in checks.values()),
        checks={name: check.detail for name, check in checks.items()},
    )
