"""A workbench without a machine behind it, for testing tools: it answers from a script."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from codex_host.actions import Action, Exec, Outcome
from codex_host.errors import ToolError
from codex_host.events import Notice, PlanChanged
from codex_host.running import RunningCommand

__all__ = ["ScriptedWorkbench"]


class ScriptedWorkbench:
    """A `codex_host.parts.Workbench` that carries nothing out.

    Each action is answered with the next of `outcomes`; one that is an exception is raised, as a SandboxError
    or an interrupt would be. A test fails if a tool does more than the script foresees.
    """

    def __init__(self, cwd: Path, outcomes: Iterable[Outcome | BaseException] = ()) -> None:
        self._cwd = cwd
        self._outcomes = iter(outcomes)
        self.actions: list[Action] = []
        """What tools asked for, in order."""
        self.call_ids: list[str] = []
        """For which call they did, one for each of `actions`."""
        self.notices: list[Notice] = []
        """What tools told watchers."""
        self.plans: list[PlanChanged] = []
        """The plans that they showed."""

    @property
    def cwd(self) -> Path:
        """The working directory that the test chose."""
        return self._cwd

    async def perform(self, call_id: str, action: Action) -> Outcome:
        """Note the action and answer as the script says."""
        self.actions.append(action)
        self.call_ids.append(call_id)
        outcome = next(self._outcomes, None)
        if outcome is None:
            raise AssertionError(f"the script has no outcome for action {len(self.actions)}: {action!r}")
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def start(self, call_id: str, command: Exec, *, terminal: bool = False) -> RunningCommand | Outcome:
        """The same for a command that is to be kept running, which it never is here."""
        return await self.perform(call_id, command)

    async def read_file(self, path: Path) -> bytes:
        """The file as it is; nothing is held back here. Raises ToolError."""
        try:
            return path.read_bytes()
        except OSError as error:
            raise ToolError(f"{path} cannot be read: {error.strerror}") from error

    def emit(self, event: Notice | PlanChanged) -> None:
        """Note the event."""
        if isinstance(event, Notice):
            self.notices.append(event)
        else:
            self.plans.append(event)
