"""What an approval policy must keep to: subclass `ApprovalPolicyContract` in a pytest module.

It does not say what a policy should allow: that is the policy's own affair, and for its own tests.
"""

from __future__ import annotations

import time
from itertools import product
from pathlib import Path
from typing import ClassVar

import pytest

from codex_host.actions import (
    Action,
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
from codex_host.parts import ApprovalPolicy
from codex_host.permissions import Fence, Network
from codex_host.testing.contract import Contract

__all__ = ["ACTIONS", "CONTEXTS", "ApprovalPolicyContract"]

_CWD = Path("/project")
_SCRIPTS = ["ls | wc", "ls > a", "ls 'open", "$(ls)", "", "\udc80", "\0", "ls; " * 50_000, "(" * 50_000]
_ARGVS = [
    ("ls",),
    ("rm", "-rf", "."),
    ("git",),
    ("\udc80", "\0"),
    ("",),
    (),
    *(("bash", "-lc", it) for it in _SCRIPTS),
]
_COMMANDS = tuple(Exec(argv, _CWD) for argv in _ARGVS)
_PATCHES = (Patch((AddFile(_CWD / "a", ""),)), Patch(()))

ACTIONS: tuple[Action, ...] = (*_COMMANDS, *_PATCHES, Use("search", "not JSON"))
"""Actions of every kind, sensible and not."""

CONTEXTS = tuple(
    ReviewContext(Fence(readable=None, writable=writable, network=network), sandboxed, writes, grants)
    for writable, network, sandboxed, writes, grants in product(
        [None, (), (_CWD,)],
        Network,
        [True, False],
        [(), (_CWD / "a",), (_CWD / "a", Path("/etc/passwd"))],
        [(), (CommandGrant(("ls",), _CWD), CommandGrant(("ls",), _CWD, outside=True), ToolGrant("search"))],
    )
)
"""Every circumstance in which an action can be reviewed."""


class ApprovalPolicyContract(Contract):
    """The promises of a `codex_host.parts.ApprovalPolicy`."""

    kind = "approval_policy"
    base: ClassVar[type] = ApprovalPolicy

    @pytest.fixture
    def policy(self) -> ApprovalPolicy:
        """The policy under test."""
        made = self.make()
        assert isinstance(made, ApprovalPolicy)
        return made

    def test_has_a_verdict_on_everything(self, policy: ApprovalPolicy) -> None:
        """Every action in every circumstance is run, asked for or refused, and never without a reason."""
        for action, context in product(ACTIONS, CONTEXTS):
            verdict = policy.review(action, context)
            assert isinstance(verdict, (Run, Ask, Refuse)), action
            assert verdict.reason.strip(), action

    def test_does_not_keep_the_event_loop_waiting(self, policy: ApprovalPolicy) -> None:
        """Any verdict comes within a fifth of a second, however long the action is."""
        policy.review(ACTIONS[0], CONTEXTS[0])  # what is loaded at the first time does not count
        for action in ACTIONS:
            begun = time.perf_counter()
            policy.review(action, CONTEXTS[0])
            assert time.perf_counter() - begun < 0.2, action

    def test_has_no_memory(self, policy: ApprovalPolicy) -> None:
        """The verdict depends on action and context alone, not on what was reviewed before."""
        cases = list(product(ACTIONS, CONTEXTS))
        first = [policy.review(action, context) for action, context in cases]
        again = [policy.review(action, context) for action, context in reversed(cases)]
        assert first == again[::-1] == [self.make().review(action, context) for action, context in cases]

    def test_offers_the_outside_or_not(self, policy: ApprovalPolicy) -> None:
        """After a denial the policy asks, with a reason, or leaves it at that."""
        denials = (Denial("/etc", "not writable", "disk-full-write-access"), Denial("example.org", "no net"))
        for command, context, denial in product(_COMMANDS, CONTEXTS, denials):
            offer = policy.after_denial(command, Ran(1, Output("no", total=2), 0.1, denial=denial), context)
            assert offer is None or isinstance(offer, Ask)
            assert offer is None or offer.reason.strip()
