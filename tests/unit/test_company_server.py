"""Which homeserver a company may bring, and which addresses are its people's: the text of each refusal."""

import pytest

from config.errors import ConclaveError, ConflictError, InvalidInputError
from partner_onboarding.federation import Federation, check_remote_user_id

OPENED = Federation(own="hub.test", servers=("partner.example", "other.example:8448"))


def test_a_server_that_the_operator_named_is_taken() -> None:
    assert OPENED.check_server(" Partner.Example ") == "partner.example"
    assert OPENED.check_server("other.example:8448") == "other.example:8448"


def test_without_federation_nothing_is_taken() -> None:
    with pytest.raises(ConflictError) as error:
        Federation(own="hub.test").check_server("partner.example")
    assert error.value.message == "this hub has no federation: a company cannot bring its own homeserver"
    assert error.value.hint == (
        'the operator sets servers = ["partner.example"] under [federation] and starts the hub again;'
        " see docs/federation.md"
    )


@pytest.mark.parametrize(
    ("server", "says"),
    [
        ("hub.test", "hub.test is the hub's own homeserver"),
        (
            "evil.example",
            "homeserver 'evil.example': expected one of partner.example, other.example:8448; the operator adds others",
        ),
        ("other.example", "homeserver 'other.example': expected one of "),
        ("", "homeserver '': expected one of "),
        ("*", "homeserver '*': expected one of "),
    ],
)
def test_any_other_is_refused(server: str, says: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        OPENED.check_server(server)
    assert error.value.message.startswith(says)
    assert error.value.field == "homeserver"


def test_an_address_on_the_companys_server_is_taken() -> None:
    assert check_remote_user_id(" @bob.lee:partner.example ", "partner.example") == "@bob.lee:partner.example"
    assert check_remote_user_id("@b:p.example:8448", "p.example:8448") == "@b:p.example:8448"


@pytest.mark.parametrize(
    "value",
    ["", "bob", "@:partner.example", "bob:partner.example", "@b ob:partner.example", "@Bob:partner.example", "@b\0:x"],
)
def test_what_is_no_address_is_refused(value: str) -> None:
    with pytest.raises(InvalidInputError, match="expected your full address, such as @bob:"):
        check_remote_user_id(value, "partner.example")


@pytest.mark.parametrize(
    "value", ["@bob:evil.example", "@bob:partner.example:8448", "@bob:partner.example.evil.example", "@bob"]
)
def test_an_address_elsewhere_is_refused(value: str) -> None:
    with pytest.raises(ConclaveError) as error:
        check_remote_user_id(value, "partner.example")
    assert error.value.message == (
        f"Matrix address {value!r}: expected one on your company's own homeserver, such as @bob:partner.example"
    )


def test_an_address_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        check_remote_user_id(f"@{'b' * 250}:partner.example", "partner.example")
