"""Partners with homeservers of their own: how their people enrol."""

from bridge.api.call import Call
from bridge.api.federation_models import RemoteEnrolment
from bridge.api.models import Enrolled, NoQuery


async def enrol_remote(call: Call[NoQuery, RemoteEnrolment]) -> Enrolled:
    """Take up an invitation with an account on the company's own homeserver: the hub invites it to its rooms."""
    body = call.body
    person = await call.services.enrolment.enrol_remote(body.secret, user_id=body.user_id)
    await call.enforce_for(person.company, person=person.id)
    company = await call.services.onboarding.company(person.company)
    return Enrolled(person=person.id, user_id=str(person.user_id), homeserver=str(company.server))
