"""Carrying out what the model asks for: the one way from a wish to an effect.

    perform   interpret ▸ review ▸ ask ▸ carry out ▸ explain ▸ at most one offer outside the sandbox

A command runs in the sandbox, a patch is applied under the same fence, and a call of a tool whose effects
cannot be seen runs after its review. Actions run one at a time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import anyio.to_thread

from codex_host import _files, _process
from codex_host._denial import denial
from codex_host._environment import child_environment
from codex_host._plugins import Found, guarded
from codex_host._review import Review
from codex_host._running import LiveCommand, RunningCommands, Work
from codex_host._sandbox_choice import Choice, launch_in
from codex_host.actions import Action, Exec, Failed, Outcome, Patch, Patched, Ran, Refused, ReviewContext, Use, Used
from codex_host.config import EnvironmentPolicy
from codex_host.errors import CodexError, PluginError, SandboxError, ToolError
from codex_host.events import ActionEnded, ActionStarted, Event, Notice, NoticeLevel, OutputDelta, PlanChanged
from codex_host.items import ToolCall
from codex_host.parts import Launch
from codex_host.permissions import Fence, Network

__all__ = ["Workbench"]

OPEN = Fence(readable=None, writable=None, network=Network.ALL)


@dataclass(slots=True)
class Workbench:
    """One session's workbench; the host's side of the protocol of that name.

    `fence` resolves the session's permissions anew, `sandbox` opens the backend at its first use, `ask` puts a question
    to the audience (None: nobody answered), `secrets` are values that no command may see. `tools` are needed here for
    those that act outside; `variables` chooses from `environ`.
    """

    cwd: Path
    review: Review
    fence: Callable[[], Fence]
    sandbox: Callable[[], Awaitable[Choice]]
    show: Callable[[Event], None]
    environ: Mapping[str, str]
    secrets: Sequence[str]
    journal: Path
    toolsets: Sequence[Found] = ()
    tools: Mapping[str, Found] = field(default_factory=dict)
    variables: EnvironmentPolicy = field(default_factory=EnvironmentPolicy)
    refused: list[Refused] = field(default_factory=list)
    running: RunningCommands = field(default_factory=RunningCommands)
    _busy: anyio.Lock = field(default_factory=anyio.Lock)

    def emit(self, event: Notice | PlanChanged) -> None:
        """Tell watchers something."""
        self.show(event)

    async def perform(self, call_id: str, action: Action) -> Outcome:
        """Review an action and carry it out; see `codex_host.parts.Workbench`."""
        try:
            action = self._interpreted(action)
            match action:
                case Exec() | Patch():
                    async with self._busy:
                        outcome = await self._act(call_id, action)
                case Use():
                    outcome = await self._use(call_id, action)
        except ToolError as error:
            outcome = Failed(str(error))
        except CodexError as error:
            self._over(call_id, action, Failed(str(error)))
            raise
        except anyio.get_cancelled_exc_class():
            self._over(call_id, action, Failed("interrupted"))
            raise
        return self._over(call_id, action, outcome)

    async def start(self, call_id: str, command: Exec, *, terminal: bool = False) -> LiveCommand | Outcome:
        """Review a command and keep it running; see `codex_host.parts.Workbench`."""
        try:
            plain = self._interpreted(command) is command
        except ToolError:
            plain = False
        if not plain:
            return await self.perform(call_id, command)
        async with self._busy:
            started = await self._start(call_id, command, terminal)
        return started if isinstance(started, LiveCommand) else self._over(call_id, command, started)

    async def read_file(self, path: Path) -> bytes:
        """Read a file inside the fence; see `codex_host.parts.Workbench`."""
        return await anyio.to_thread.run_sync(_files.read, path, self.fence())

    def _over(self, call_id: str, action: Action, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Refused):
            self.refused.append(outcome)
        self.show(ActionEnded(call_id, action, outcome))
        return outcome

    async def _act(self, call_id: str, action: Exec | Patch) -> Outcome:
        if isinstance(action, Exec):
            return await self._command(call_id, action)
        return await self._patch(call_id, action)

    def _interpreted(self, action: Action) -> Action:
        """What a command really is, if a toolset knows."""
        if isinstance(action, Exec):
            for found in self.toolsets:
                try:
                    with guarded(found.origin, "interpreting a command"):
                        meant = found.part.interpret(action)
                except PluginError as error:
                    raise ToolError(str(error)) from error
                if meant is not None:
                    return meant  # type: ignore[no-any-return]
        return action

    # --- commands

    async def _command(self, call_id: str, command: Exec) -> Outcome:
        fence, choice, context = await self._surroundings()
        refused, _ = await self.review.decide(call_id, command, context)
        if refused is not None:
            return _with_reason(refused, choice)
        outcome = await self._run(call_id, command, fence, choice)
        if not isinstance(outcome, Ran) or outcome.denial is None:
            return outcome
        match await self.review.outside(call_id, command, outcome, context):
            case Refused() as refused:
                return refused
            case True:
                self.show(ActionEnded(call_id, command, outcome))
                return await self._run(call_id, command, OPEN, Choice(None), outside=True)
            case False:
                return outcome

    async def _start(self, call_id: str, command: Exec, terminal: bool) -> LiveCommand | Refused | Failed:
        fence, choice, context = await self._surroundings()
        refused, _ = await self.review.decide(call_id, command, context)
        if refused is not None:
            return _with_reason(refused, choice)
        launch = self._launch(command, fence, choice)

        def finish(ended: _process.Ended) -> Ran | Failed:
            outcome: Ran | Failed
            try:
                outcome = self._ran(command, launch, ended, fence, choice)
            except SandboxError as error:
                outcome = Failed(str(error))
            self._over(call_id, command, outcome)
            return outcome

        self.show(ActionStarted(call_id, command))
        shown = _shown_by(self.show, call_id)
        work = Work(launch, command.timeout, terminal, context.held, shown, finish)
        try:
            return await self.running.start(work)
        except (OSError, ValueError) as error:
            return Failed(_process.not_started(command, error))

    async def _surroundings(self) -> tuple[Fence, Choice, ReviewContext]:
        """What a command is held to now, and by which sandbox."""
        fence = self.fence()
        choice = Choice(None) if fence.open else await self.sandbox()
        return fence, choice, ReviewContext(fence, choice.found is not None, grants=tuple(self.review.grants))

    async def _run(
        self, call_id: str, command: Exec, fence: Fence, choice: Choice, *, outside: bool = False
    ) -> Outcome:
        launch = self._launch(command, fence, choice)
        self.show(ActionStarted(call_id, command, outside=outside))
        try:
            ended = await _process.run(launch, command.timeout, _shown_by(self.show, call_id))
        except (OSError, ValueError) as error:
            return Failed(_process.not_started(command, error))
        return self._ran(command, launch, ended, fence, choice)

    def _launch(self, command: Exec, fence: Fence, choice: Choice) -> Launch:
        env = child_environment(self.environ, fence, self.secrets, self.variables)
        if choice.found is None:
            return Launch(command.argv, env, command.cwd)
        return launch_in(choice.found, command, env, fence)

    def _ran(self, command: Exec, launch: Launch, ended: _process.Ended, fence: Fence, choice: Choice) -> Ran:
        """How a command ended. Raises SandboxError if it never began because its wrapper failed."""
        outcome = Ran(ended.exit_code, ended.output, ended.seconds, ended.timed_out, choice.found is not None)
        if launch.setup_error is not None and (reason := launch.setup_error(outcome)):
            raise SandboxError(reason)
        return self._explained(command, fence, outcome, choice)

    def _explained(self, command: Exec, fence: Fence, outcome: Ran, choice: Choice) -> Ran:
        if choice.found is None or outcome.exit_code == 0:
            return outcome
        found = None
        try:
            with guarded(choice.found.origin, "explaining an outcome"):
                found = choice.sandbox.explain(command, fence, outcome)
        except PluginError as error:
            self.show(Notice(str(error), NoticeLevel.WARNING))
        return replace(outcome, denial=found or denial(command, fence, outcome))

    # --- patches and tools

    async def _patch(self, call_id: str, patch: Patch) -> Outcome:
        fence = self.fence()
        plan = await anyio.to_thread.run_sync(_files.plan, patch, fence)
        context = ReviewContext(fence, sandboxed=not fence.open, writes=plan.writes, grants=tuple(self.review.grants))
        refused, approved = await self.review.decide(call_id, patch, context, plan.files)
        if refused is not None:
            return refused
        if approved and fence.writable is not None:
            fence = replace(fence, writable=(*fence.writable, *plan.writes))
        self.show(ActionStarted(call_id, patch, plan.files))
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(_files.carry_out, plan, fence, self.journal, self.cwd)
        return Patched(plan.files)

    async def _use(self, call_id: str, use: Use) -> Outcome:
        async with self._busy:  # not while it works: it may have actions of its own
            context = ReviewContext(self.fence(), sandboxed=False, grants=tuple(self.review.grants))
            refused, _ = await self.review.decide(call_id, use, context)
        if refused is not None:
            return refused
        self.show(ActionStarted(call_id, use))
        tool = self.tools[use.tool]
        try:
            with guarded(tool.origin, f"in the tool {use.tool!r}"):
                return Used(await tool.part.call(ToolCall(call_id, use.tool, use.arguments)))
        except PluginError as error:
            return Failed(str(error))


def _shown_by(show: Callable[[Event], None], call_id: str) -> Callable[[str], None]:
    return lambda text: show(OutputDelta(call_id, text))


def _with_reason(refused: Refused, choice: Choice) -> Refused:
    """A refusal for want of a sandbox says why there is none."""
    return replace(refused, reason=f"{refused.reason} ({choice.reason})") if choice.reason else refused
