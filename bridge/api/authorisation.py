"""Who may do what: the one table of permissions by role. What each call needs stands in ``bridge.api.operations``."""

from enum import StrEnum

from config.errors import ConclaveError
from partner_onboarding.access import Principal
from partner_onboarding.access_store import EXCLUSIVE, Role


class Permission(StrEnum):
    """What a call needs."""

    ANYONE = "anyone"  # no credential at all
    SIGNED_IN = "signed-in"
    READ_PARTNERS = "read-partners"
    CHANGE_PARTNERS = "change-partners"
    CHANGE_WALLS = "change-walls"
    READ_ACCESS = "read-access"
    CHANGE_ACCESS = "change-access"
    READ_LEDGER = "read-ledger"
    EXPORT_LEDGER = "export-ledger"
    READ_HOLDS = "read-holds"
    CHANGE_HOLDS = "change-holds"


_EVERY_ROLE = frozenset(Role)

ROLES: dict[Permission, frozenset[Role]] = {
    Permission.READ_PARTNERS: _EVERY_ROLE,
    Permission.CHANGE_PARTNERS: frozenset({Role.PARTNER_MANAGER}),
    Permission.CHANGE_WALLS: frozenset({Role.COMPLIANCE_OFFICER}),  # those whom a wall binds must not take it down
    Permission.READ_ACCESS: frozenset({Role.ADMIN, Role.COMPLIANCE_OFFICER, Role.AUDITOR}),
    Permission.CHANGE_ACCESS: frozenset({Role.ADMIN}),
    Permission.READ_LEDGER: frozenset({Role.ADMIN, Role.COMPLIANCE_OFFICER, Role.AUDITOR}),
    Permission.EXPORT_LEDGER: frozenset({Role.COMPLIANCE_OFFICER, Role.AUDITOR}),
    Permission.READ_HOLDS: frozenset({Role.COMPLIANCE_OFFICER, Role.AUDITOR}),
    Permission.CHANGE_HOLDS: frozenset({Role.COMPLIANCE_OFFICER}),
}


class ForbiddenError(ConclaveError):
    """The person is known, but their roles do not allow the call."""

    code = "forbidden"


def authorise(principal: Principal, permission: Permission) -> None:
    """Return when ``principal`` may do what ``permission`` stands for.

    Raises:
        ForbiddenError: None of their roles allows it; a permission without a row allows nobody.
    """
    if permission is Permission.SIGNED_IN:
        return
    allowed = ROLES.get(permission, frozenset())
    if principal.roles & allowed:
        return
    needed = " or ".join(sorted(allowed)) or "nobody"
    held = ", ".join(sorted(principal.roles)) or "no role"
    raise ForbiddenError(f"{principal.name} holds {held}; this needs {needed}", hint=_who_helps(principal, allowed))


def _who_helps(principal: Principal, allowed: frozenset[Role]) -> str:
    """What an administrator can say; another person is needed where the roles held exclude every role that may."""
    for role in sorted(allowed):
        if not (role in EXCLUSIVE and principal.roles & (EXCLUSIVE - {role})):
            return f"an administrator can say: conclave role grant {principal.person} {role}"
    return "this is another person's to do: conclave role list" if allowed else ""
