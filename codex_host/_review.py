"""What is done and what is not: the policy's verdict, and the user's answer where it asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from codex_host._plugins import Found, guarded
from codex_host.actions import (
    Action,
    Ask,
    CommandGrant,
    Exec,
    FileDiff,
    Grant,
    Patch,
    Ran,
    Refuse,
    Refused,
    ReviewContext,
    Run,
    ToolGrant,
    Use,
    Verdict,
)
from codex_host.errors import CodexError, PluginError, RefusalError
from codex_host.events import Event, Notice, NoticeLevel
from codex_host.parts import Abort, Approval, Approve, Decision, Deny, Question, Scope

__all__ = ["Review"]


@dataclass(slots=True)
class Review:
    """The approval policy at work, with what the user has approved so far.

    `ask` puts a question to the audience (None: nobody answered).
    """

    policy: Found
    ask: Callable[[Question], Awaitable[Decision | bool | None]]
    show: Callable[[Event], None]
    grants: list[Grant] = field(default_factory=list)

    async def decide(
        self, call_id: str, action: Action, context: ReviewContext, files: tuple[FileDiff, ...] = ()
    ) -> tuple[Refused | None, bool]:
        """Whether the action is refused, and whether a person approved it."""
        match self._verdict(action, context):
            case Run():
                return None, False
            case Refuse(reason):
                return Refused(self.policy.name, reason), False
            case Ask(reason):
                outside = isinstance(action, Exec) and not context.held
                return await self._asked(Approval(call_id, action, reason, files, outside)), True

    def _verdict(self, action: Action, context: ReviewContext) -> Verdict:
        """The policy's verdict; closed where it fails, and where nothing would hold a command back."""
        try:
            with guarded(self.policy.origin, "reviewing an action"):
                verdict = self.policy.part.review(action, context)
                if not isinstance(verdict, (Run, Ask, Refuse)):
                    raise TypeError(f"{verdict!r} is no verdict")
        except CodexError as error:
            return Refuse(str(error))
        loose = isinstance(action, Exec) and not context.held and not context.granted(action, outside=True)
        if isinstance(verdict, Run) and loose:
            return Ask("no sandbox works here, so nothing would hold this command back")
        return verdict

    async def outside(self, call_id: str, command: Exec, outcome: Ran, context: ReviewContext) -> Refused | bool:
        """Whether a command that the sandbox stopped runs once more, outside; refused if the user said no to that."""
        try:
            with guarded(self.policy.origin, "reviewing a denial"):
                offer: Ask | None = self.policy.part.after_denial(command, outcome, context)
        except PluginError as error:
            self.show(Notice(str(error), NoticeLevel.WARNING))
            return False
        if offer is None:
            return False
        if context.granted(command, outside=True):
            return True
        question = Approval(call_id, command, offer.reason, outside=True, denial=outcome.denial)
        refused = await self._asked(question)
        if refused is None:
            return True
        if refused.by != "user":
            return False  # nobody is there: what the sandbox said stands
        what = f"{outcome.denial.what}: {outcome.denial.rule}" if outcome.denial else "it"
        return replace(refused, reason=f"{refused.reason} (the sandbox had stopped the command at {what})")

    async def _asked(self, question: Approval) -> Refused | None:
        """Ask the audience; None if it approves. Raises RefusalError if the task is to stop."""
        match await self.ask(question):
            case Approve(scope):
                if scope is Scope.SESSION:
                    self._grant(question)
                return None
            case Deny(feedback):
                return Refused("user", feedback or "the user said no")
            case Abort():
                raise RefusalError("stopped by the user")
            case _:
                return Refused(self.policy.name, f"{question.reason}; nobody is there to approve it")

    def _grant(self, question: Approval) -> None:
        match question.action:
            case Exec(argv, cwd):
                self.grants.append(CommandGrant(argv, cwd, question.outside))
            case Use(tool):
                self.grants.append(ToolGrant(tool))
            case Patch():
                pass
