"""Policy files: whose word is needed."""

from collections.abc import Callable
from itertools import combinations

import pytest

from audit.cosignature import cosign
from audit.keys import verify_ed25519
from audit.note import COSIGNATURE, NoteError, VerifierKey, sign_note
from audit.quorum import Policy, PolicyError, parse_policy, witnessed
from tests.ledger import signing_key

LOG = signing_key("log.example/hub", 1).public
KEYS = [signing_key(f"w{number}.example", number + 2).cosigner for number in range(4)]
W = [f"witness w{number} {key} https://w{number}.example/" for number, key in enumerate(KEYS)]


def policy(*lines: str) -> Policy:
    return parse_policy(("\n".join([f"log {LOG}", *W, *lines]) + "\n").encode())


def test_logs_witnesses_and_their_addresses() -> None:
    found = policy("quorum none")
    assert found.logs == (LOG,)
    assert [(one.name, one.key, one.url) for one in found.witnesses.values()][1] == (
        "w1",
        KEYS[1],
        "https://w1.example/",
    )
    assert found.met([])


@pytest.mark.parametrize(
    ("lines", "needed"),
    [
        (["quorum w1"], lambda keys: KEYS[1] in keys),
        (["group g any w0 w1", "quorum g"], lambda keys: bool(keys & {KEYS[0], KEYS[1]})),
        (["group g all w0 w1", "quorum g"], lambda keys: keys >= {KEYS[0], KEYS[1]}),
        (["group g 2 w0 w1 w2", "quorum g"], lambda keys: len(keys & set(KEYS[:3])) >= 2),
        (
            ["group a any w0 w1", "group b any w2 w3", "group g all a b", "quorum g"],
            lambda keys: bool(keys & set(KEYS[:2])) and bool(keys & set(KEYS[2:])),
        ),
    ],
)
def test_a_quorum_is_met_by_these_and_by_no_others(
    lines: list[str], needed: Callable[[set[VerifierKey]], bool]
) -> None:
    found = policy(*lines)
    for count in range(5):
        for some in combinations(KEYS, count):
            assert found.met(some) is needed(set(some)), some


def test_blanks_and_comments_are_passed_over() -> None:
    assert parse_policy(f"# whom we trust\n\n \t\n  log\t{LOG}  \n\t quorum   none\n".encode()).logs == (LOG,)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "the policy has no line: quorum NAME"),
        (["quorum w0", "quorum w0"], "line 7: the quorum stands here twice"),
        (["quorum w9"], "line 6: w9 is not defined on a line above"),
        (["group g any w9", "quorum g"], "line 6: w9 is not defined on a line above"),
        (["group g any g", "quorum g"], "line 6: g is not defined on a line above"),
        (["group g 0 w0", "quorum g"], "line 6: 0 of 1 is no quorum"),
        (["group g 3 w0 w1", "quorum g"], "line 6: 3 of 2 is no quorum"),
        (["group g most w0", "quorum g"], "line 6: most is not any, all or a number"),
        (["group g any", "quorum g"], "line 6: a group has members"),
        (["group g any w0 w0", "quorum g"], "line 6: a group has members, each of them once"),
        (["group g any w0", "group h any w0 w1", "quorum h"], "line 7: w0 is in another group already"),
        (["group w0 any w1", "quorum w0"], "line 6: the name w0 is taken"),
        (["group none any w1", "quorum none"], "line 6: the name none is taken"),
        ([W[0].replace("w0", "again", 1), "quorum none"], "line 6: this witness's key stands here twice"),
        ([f"log {LOG}", "quorum none"], "line 6: this log's key stands here twice"),
        ([f"witness x {LOG}", "quorum none"], "line 6: the verifier key is not an Ed25519 key for cosignatures"),
        (["trust me"], "line 6: trust is not log, witness, group or quorum"),
        (["quorum none w0"], "line 6: a line quorum has another number of words"),
        (
            [f"witness x {VerifierKey(name='x', public_key=LOG.public_key, algorithm=COSIGNATURE)}", "quorum none"],
            "line 6: this witness's key stands here twice",
        ),
        (
            [
                *(
                    f"group g{number} any w0" if number == 0 else f"group g{number} any g{number - 1}"
                    for number in range(201)
                )
            ],
            "line 206: a policy has at most 200 groups",
        ),
        (["quorum\x0bnone"], "line 6: a control character stands here"),
    ],
)
def test_what_is_no_policy_is_refused_with_its_line(lines: list[str], says: str) -> None:
    with pytest.raises(PolicyError, match=f"^{says}"):
        policy(*lines)


def test_a_checkpoint_is_witnessed_by_the_quorum_for_a_log_that_the_policy_accepts() -> None:
    text = "log.example/hub\n1\n" + "A" * 43 + "=\n"
    log, keys = (
        signing_key("log.example/hub", 1),
        [signing_key(f"w{number}.example", number + 2) for number in range(4)],
    )
    note = sign_note(text, LOG, log) + b"".join(cosign(text, key.cosigner, key, 5).encode() for key in keys[:2])
    found = policy("group g 2 w0 w1 w2", "quorum g")
    assert witnessed(note, LOG, found, verify_ed25519) == ["w0.example", "w1.example"]
    with pytest.raises(NoteError, match=r"the policy's quorum g is not met: cosigned by w0\.example"):
        witnessed(note.rpartition("— ".encode())[0], LOG, found, verify_ed25519)
    other = signing_key("log.example/hub", 9).public
    with pytest.raises(NoteError, match="does not accept the log"):
        witnessed(note, other, found, verify_ed25519)
