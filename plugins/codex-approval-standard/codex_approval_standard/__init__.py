"""The approval policies `unless-allow-listed`, `on-failure` and `never`.

|                                   | unless-allow-listed | on-failure | never   |
| --------------------------------- | ------------------- | ---------- | ------- |
| a command known to only read      | runs                | runs       | runs    |
| any other command                 | asks                | runs       | runs    |
| any command, and no sandbox works | asks                | asks       | refuses |
| a patch of writable files         | asks                | runs       | runs    |
| a patch of other files            | asks                | asks       | refuses |
| a tool that acts outside          | asks                | runs       | runs    |
| the sandbox stopped a command     | offers outside      | offers it  | no more |

"Runs" means inside the sandbox, unless the user opened the fence altogether (`danger-full-access`). A command
that the user approved for the session runs under each of them. Without a sandbox neither `git` nor a script with `cd`
is known to only read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from codex_approval_standard._known_safe import objection
from codex_host.actions import Action, Ask, Exec, Patch, Ran, Refuse, ReviewContext, Run, Use, Verdict
from codex_host.hookspecs import hookimpl
from codex_host.parts import ApprovalPolicy

__all__ = ["Never", "OnFailure", "UnlessAllowListed"]

_GRANTED = "you approved this before"
_CONFINED = "it runs inside the sandbox"
_OPEN = "the permissions are danger-full-access"
_BARE = "no sandbox works here, so nothing would hold this command back"


class UnlessAllowListed(ApprovalPolicy):
    """Asks before everything but commands that are known to only read; offers the outside after a denial."""

    def review(self, action: Action, context: ReviewContext) -> Verdict:
        """Run what is known to be safe or approved, ask for the rest; never refuse."""
        match action:
            case Exec() if _granted(action, context):
                return Run(_GRANTED)
            case Exec() if _bare(context):
                return Ask(_BARE)
            case Exec():
                doubt = objection(action.argv, sandboxed=context.sandboxed)
                return Ask(doubt) if doubt else Run("this command is known to only read")
            case Patch():
                return Ask(_outside(context) or "it changes files")
            case Use(tool):
                approved = context.granted(action)
                return Run(_GRANTED) if approved else Ask(f"the tool `{tool}` acts beyond the sandbox")

    def after_denial(self, command: Exec, outcome: Ran, context: ReviewContext) -> Ask | None:
        """Offer one run outside if the sandbox stopped something."""
        return _offer(outcome)


class OnFailure(ApprovalPolicy):
    """Lets everything run that something holds back, and offers the outside after a denial."""

    def review(self, action: Action, context: ReviewContext) -> Verdict:
        """Ask only for what neither sandbox nor fence would hold back; never refuse."""
        match action:
            case Exec() if _bare(context) and not _granted(action, context):
                return Ask(_BARE)
            case Exec():
                return Run(_OPEN if context.fence.open else _GRANTED if _bare(context) else _CONFINED)
            case Patch():
                outside = _outside(context)
                return Ask(outside) if outside else Run("it changes only files that may be written")
            case Use():
                return Run("this policy lets configured tools work")

    def after_denial(self, command: Exec, outcome: Ran, context: ReviewContext) -> Ask | None:
        """Offer one run outside if the sandbox stopped something; what merely failed stays failed."""
        return _offer(outcome)


class Never(ApprovalPolicy):
    """Asks nothing: what something holds back runs, the rest is refused."""

    def review(self, action: Action, context: ReviewContext) -> Verdict:
        """Refuse what neither sandbox nor fence would hold back, and say which words would allow it."""
        match action:
            case Exec() if _bare(context) and not _granted(action, context):
                return Refuse(
                    f"{_BARE}, and the policy `never` asks nobody; "
                    "`--sandbox danger-full-access` lets commands run without a sandbox"
                )
            case Exec():
                return Run(_OPEN if context.fence.open else _GRANTED if _bare(context) else _CONFINED)
            case Patch():
                outside = _outside(context)
                if outside is None:
                    return Run("it changes only files that may be written")
                return Refuse(
                    f"{outside}, and the policy `never` asks nobody; `--full-auto` makes the working "
                    "directory writable, `-s disk-write-folder=FOLDER` another folder"
                )
            case Use():
                return Run("this policy lets configured tools work")


_POLICIES: dict[str, type[ApprovalPolicy]] = {
    "unless-allow-listed": UnlessAllowListed,
    "on-failure": OnFailure,
    "never": Never,
}


@hookimpl
def codex_approval_policy(name: str) -> ApprovalPolicy | None:
    """One of the three policies."""
    policy = _POLICIES.get(name)
    return policy() if policy else None


def _bare(context: ReviewContext) -> bool:
    """Whether a command should be held back and nothing can."""
    return not context.sandboxed and not context.fence.open


def _granted(command: Exec, context: ReviewContext) -> bool:
    """Whether a standing approval covers this run; one for the outside also covers the inside."""
    if context.granted(command, outside=True):
        return True
    return not _bare(context) and context.granted(command, outside=False)


def _outside(context: ReviewContext) -> str | None:
    """Why a patch is not covered by the fence, or None if it is; if no file is known it is not."""
    forbidden = [path for path in context.writes if not context.fence.allows_write(path)]
    if context.writes and not forbidden:
        return None
    if not forbidden:
        return "it is not known which files this patch changes"
    roots = _names(context.fence.writable or ())
    verb = "is" if len(forbidden) == 1 else "are"
    return f"{_names(forbidden)} {verb} not in a writable folder ({roots})"


def _names(paths: Sequence[Path]) -> str:
    shown = ", ".join(map(str, paths[:3])) or "there is none"
    return shown if len(paths) <= 3 else f"{shown} and {len(paths) - 3} more"


def _offer(outcome: Ran) -> Ask | None:
    denial = outcome.denial
    return Ask(f"the sandbox denied {denial.what} ({denial.rule}); run it outside?") if denial else None
