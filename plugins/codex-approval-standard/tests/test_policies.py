from itertools import product
from pathlib import Path

import codex_approval_standard
import pytest
from codex_approval_standard import Never, OnFailure, UnlessAllowListed

from codex_host.actions import (
    AddFile,
    Ask,
    CommandGrant,
    Denial,
    Exec,
    Output,
    Patch,
    Ran,
    Refuse,
    ReviewContext,
    Run,
    ToolGrant,
    Use,
)
from codex_host.permissions import Fence, Network
from codex_host.testing.approval_policy import ApprovalPolicyContract

CWD = Path("/project")
SAFE, OTHER = Exec(("ls", "-l"), CWD), Exec(("make",), CWD)
SCRIPT = Exec(("bash", "-lc", "ls && rg foo | head"), CWD)
STATUS = Exec(("git", "status"), CWD)
PATCH = Patch((AddFile(CWD / "a", "text"),))
USE = Use("search", "{}")
CLOSED = Fence(readable=None, writable=())
WORK = Fence(readable=None, writable=(CWD,))
OPEN = Fence(readable=None, writable=None, network=Network.ALL)
INSIDE, OUTSIDE = (CWD / "a",), (CWD / "a", Path("/etc/hosts"))


class TestUnlessAllowListed(ApprovalPolicyContract):
    module = codex_approval_standard
    name = "unless-allow-listed"


class TestOnFailure(ApprovalPolicyContract):
    module = codex_approval_standard
    name = "on-failure"


class TestNever(ApprovalPolicyContract):
    module = codex_approval_standard
    name = "never"


def context(fence, sandboxed, writes=(), grants=()):
    return ReviewContext(fence, sandboxed, writes, grants)


TABLE = [
    # action, context, unless-allow-listed, on-failure, never
    (SAFE, context(CLOSED, True), Run, Run, Run),
    (OTHER, context(CLOSED, True), Ask, Run, Run),
    (SAFE, context(WORK, True), Run, Run, Run),
    (OTHER, context(WORK, True), Ask, Run, Run),
    (SAFE, context(WORK, False), Ask, Ask, Refuse),
    (OTHER, context(WORK, False), Ask, Ask, Refuse),
    (SAFE, context(OPEN, False), Run, Run, Run),
    (OTHER, context(OPEN, False), Ask, Run, Run),
    (SCRIPT, context(WORK, True), Run, Run, Run),
    (SCRIPT, context(WORK, False), Ask, Ask, Refuse),
    (Exec(("bash", "-lc", "ls; make"), CWD), context(WORK, True), Ask, Run, Run),
    (Exec(("bash", "-lc", "ls > a"), CWD), context(WORK, True), Ask, Run, Run),
    # What git starts, here or where `cd` leads, is held by the sandbox or by nothing.
    (STATUS, context(CLOSED, True), Run, Run, Run),
    (STATUS, context(OPEN, False), Ask, Run, Run),
    (STATUS, context(OPEN, False, grants=(CommandGrant(STATUS.argv, CWD),)), Run, Run, Run),
    (Exec(("bash", "-lc", "ls | head; git log"), CWD), context(WORK, True), Run, Run, Run),
    (Exec(("bash", "-lc", "ls | head; git log"), CWD), context(OPEN, False), Ask, Run, Run),
    (Exec(("bash", "-lc", "cd src && ls"), CWD), context(WORK, True), Run, Run, Run),
    (Exec(("bash", "-lc", "cd src && ls"), CWD), context(OPEN, False), Ask, Run, Run),
    (SCRIPT, context(OPEN, False), Run, Run, Run),
    (PATCH, context(CLOSED, True, INSIDE), Ask, Ask, Refuse),
    (PATCH, context(WORK, True, INSIDE), Ask, Run, Run),
    (PATCH, context(WORK, False, INSIDE), Ask, Run, Run),
    (PATCH, context(WORK, True, OUTSIDE), Ask, Ask, Refuse),
    (PATCH, context(WORK, True), Ask, Ask, Refuse),
    (PATCH, context(OPEN, False, OUTSIDE), Ask, Run, Run),
    (USE, context(WORK, True), Ask, Run, Run),
    (USE, context(WORK, False), Ask, Run, Run),
    (USE, context(OPEN, False), Ask, Run, Run),
    (USE, context(WORK, True, grants=(ToolGrant("search"),)), Run, Run, Run),
    (USE, context(WORK, True, grants=(ToolGrant("other"),)), Ask, Run, Run),
    # Approvals: of this argv in this folder, and from inside never for the outside.
    (OTHER, context(WORK, True, grants=(CommandGrant(("make",), CWD),)), Run, Run, Run),
    (OTHER, context(WORK, True, grants=(CommandGrant(("make",), CWD, True),)), Run, Run, Run),
    (OTHER, context(OPEN, False, grants=(CommandGrant(("make",), CWD),)), Run, Run, Run),
    (OTHER, context(WORK, False, grants=(CommandGrant(("make",), CWD),)), Ask, Ask, Refuse),
    (OTHER, context(WORK, False, grants=(CommandGrant(("make",), CWD, True),)), Run, Run, Run),
    (OTHER, context(WORK, True, grants=(CommandGrant(("make",), CWD / "a"),)), Ask, Run, Run),
    (OTHER, context(WORK, True, grants=(CommandGrant(("make", "x"), CWD),)), Ask, Run, Run),
]


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_every_cell(row):
    action, circumstances, *expected = row
    policies = (UnlessAllowListed(), OnFailure(), Never())
    assert [type(policy.review(action, circumstances)) for policy in policies] == expected


DENIAL = Denial("/etc/hosts", "no writable folder holds it", "disk-write-folder=/etc")


@pytest.mark.parametrize("fence", [CLOSED, WORK])
def test_the_outside_is_offered_after_a_denial_only(fence):
    denied = Ran(1, Output(), 0.1, denial=DENIAL)
    failed = Ran(1, Output(), 0.1)
    for policy, command in product((UnlessAllowListed(), OnFailure()), (SAFE, OTHER)):
        offer = policy.after_denial(command, denied, context(fence, True))
        assert offer == Ask("the sandbox denied /etc/hosts (no writable folder holds it); run it outside?")
        assert policy.after_denial(command, failed, context(fence, True)) is None
    assert Never().after_denial(OTHER, denied, context(fence, True)) is None


def test_refusals_name_what_would_help():
    bare = Never().review(OTHER, context(WORK, False))
    assert "--sandbox danger-full-access" in bare.reason
    outside = Never().review(PATCH, context(WORK, True, OUTSIDE))
    assert outside.reason.startswith("/etc/hosts is not in a writable folder (/project)")
    assert "--full-auto" in outside.reason


def test_long_lists_of_files_are_cut():
    writes = tuple(Path(f"/etc/{number}") for number in range(100))
    reason = Never().review(PATCH, context(WORK, True, writes)).reason
    assert "/etc/2 and 97 more are not" in reason
