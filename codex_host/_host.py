"""Putting the parts together: what a run consists of, opened in order and left in reverse. Decides nothing else."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio
import anyio.to_thread

from codex_host import __version__
from codex_host._conversation import LiveConversation, Opened
from codex_host._files import roll_back
from codex_host._layers import Layers
from codex_host._loop import keep
from codex_host._model import Model
from codex_host._parts import LentParts, provider, provider_warnings
from codex_host._plugins import Found, Plugins, guarded
from codex_host._review import Review
from codex_host._running import RunningCommands
from codex_host._sandbox_choice import Choice, candidates, choose
from codex_host._session import OfferedTool, Session
from codex_host._temporary import TemporaryFolder
from codex_host._transport import Transport
from codex_host._watchers import Observer, Watchers, observer_of
from codex_host._workbench import Workbench
from codex_host.config import Config
from codex_host.errors import ConfigError, PatchError, PluginError, SandboxError, WorkspaceError
from codex_host.events import Notice, NoticeLevel, SessionStarted
from codex_host.parts import Audience, Tool
from codex_host.permissions import Fence, resolve, without_exposing
from codex_host.records import SessionBegan

__all__ = ["Host"]


class Host:
    """A configured host; the constructible side of the protocol `codex_host.parts.Host`.

    `environ` is the user's environment. `parts` maps "kind.name" to parts given in process, which stand
    before installed ones. `kept` is whether sessions are written down.
    """

    def __init__(
        self,
        layers: Layers,
        cwd: Path,
        environ: Mapping[str, str],
        parts: Mapping[str, object] | None = None,
        *,
        kept: bool = True,
    ) -> None:
        self.layers = layers
        self.cwd = _folder(cwd, layers.config.home)
        self.environ = environ
        self.plugins = Plugins(parts, layers.config.disabled_plugins)
        self.kept = kept

    @property
    def config(self) -> Config:
        """The settings of this run, all layers merged."""
        return self.layers.config

    def open(self, audience: Audience) -> LiveConversation:
        """Start a session; an async context manager that yields the conversation."""
        return LiveConversation(lambda live: _Opening(self, audience, live).opened())


def _folder(cwd: Path, home: Path) -> Path:
    """The folder to work in, real. Raises WorkspaceError for one that is not there, or holds Codex's own files."""
    try:
        real = cwd.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise WorkspaceError(f"{cwd} cannot be worked in: {error}") from None
    if not real.is_dir():
        raise WorkspaceError(f"{cwd} cannot be worked in: it is no folder")
    if real.is_relative_to(home.resolve()):
        raise WorkspaceError(f"{cwd} cannot be worked in: Codex keeps its settings and sessions there; copy the files")
    return real


class _Opening:
    """Opens one session: makes its parts, enters what has a life, and puts them into a Session."""

    def __init__(self, host: Host, audience: Audience, live: LiveConversation) -> None:
        self._host = host
        self._audience = audience
        self._live = live
        self._config = host.config
        self._parts = LentParts(host.plugins, host.config, host.layers)
        self._watchers = Watchers(audience, self._observers)
        self._running = RunningCommands()
        home = host.config.home
        self._resolved: Fence | None = None
        self._temporary = TemporaryFolder(host.environ, [Path.home(), home] if _has_home() else [home])

    async def opened(self) -> Opened:
        """The session, ready for its first task, and what leaves it."""
        session_id = _new_id()
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._temporary.remove)
            stack.push_async_callback(self._finish_watchers)
            warnings = [*await self._repaired(), *self._host.layers.warnings, *provider_warnings(self._host.layers)]
            if self._config.permissions != without_exposing(self._config.permissions, self._config.home):
                warnings.append(f"commands may not write to /tmp, as {self._config.home} lies there; TMPDIR is theirs")
            stack.push(lambda kind, error, trace: self._told_anyway(warnings, error))
            store = self._parts.found("session_store", self._config.session_store) if self._host.kept else None
            self._check_sandbox()
            model = await self._model(stack)
            policy = self._parts.found("approval_policy", self._config.approval_policy)
            stack.push_async_callback(self._running.close)
            workbench = self._workbench(model, policy)
            self._watchers.show(self._started(session_id, model))
            while warnings:
                self._warn(warnings.pop(0))
            tools = await self._tools(stack, workbench)
            log = None
            if store is not None:
                with guarded(store.origin, "opening the session"):
                    log = await anyio.to_thread.run_sync(store.part.open, session_id)
                stack.callback(log.close)
            session = Session(
                session_id=session_id,
                config=self._config,
                model=model,
                instructions=await self._instructions(),
                tools=tools,
                workbench=workbench,
                show=self._watchers.show,
                log=log,
                store=store,
            )
            await keep(session, self._began(session_id))
            return Opened(session, stack.pop_all())

    async def _repaired(self) -> list[str]:
        """Undo what killed processes left half done; what there is to say of it, which is tried again if it failed."""
        try:
            files = await anyio.to_thread.run_sync(roll_back, self._config.home / "journal")
        except PatchError as error:
            return [str(error)]
        if not files:
            return []
        more = f" and {len(files) - 3} more" if len(files) > 3 else ""
        names = ", ".join(map(str, files[:3]))
        return [f"a process was killed while it applied a patch, which was taken back: {names}{more}"]

    def _told_anyway(self, warnings: Sequence[str], error: BaseException | None) -> None:
        """What is wrong with the settings helps most where the session does not open at all."""
        for warning in warnings if error is not None else ():
            self._audience.show(Notice(warning, NoticeLevel.WARNING))

    def _check_sandbox(self) -> None:
        """Tell now, not after the first request, what no command could run under. Raises SandboxError."""
        fence = self._fence()
        pairs = ((secret, root) for root in fence.writable or () for secret in fence.hidden)
        for secret, root in (pair for pair in pairs if pair[0].is_relative_to(pair[1])):
            raise SandboxError(
                f"{secret} is to be hidden from commands and lies in {root}, which they may write; "
                "work in a folder without it, or set CODEX_HOME to a folder elsewhere"
            )
        if not fence.open and self._config.sandbox_backend != "auto":
            try:
                self._parts.found("sandbox", self._config.sandbox_backend)
            except PluginError as error:
                raise SandboxError(str(error)) from error

    async def _model(self, stack: contextlib.AsyncExitStack) -> Model:
        found = provider(self._parts, self._config.model_provider)
        wire = self._parts.found("wire_api", found.part.wire_api)
        transport = await stack.enter_async_context(Transport())
        model = Model(found.part, wire.part, transport, self._host.environ, found.origin, wire.origin)
        model.key_header()  # a missing key is told before anything is done
        return model

    def _workbench(self, model: Model, policy: Found) -> Workbench:
        return Workbench(
            cwd=self._host.cwd,
            review=Review(policy, self._audience.ask, self._watchers.show),
            fence=self._fence,
            sandbox=self._live.once(self._sandbox),
            show=self._watchers.show,
            environ=self._host.environ,
            variables=self._config.shell_environment_policy,
            secrets=model.secrets(),
            journal=self._config.home / "journal",
            running=self._running,
        )

    def _fence(self) -> Fence:
        """What the permissions meant when they were first wanted; CODEX_HOME is hidden.

        Resolved once: a command that puts a link in the place of a writable folder must not move the fence.
        """
        if self._resolved is None:
            home = self._config.home
            granted = without_exposing(self._config.permissions, home)
            temp = self._temporary.path() if granted.write_user_temp or granted.full_write else home
            self._resolved = resolve(granted, self._host.cwd, temp, (home,))
        self._resolved.check()
        return self._resolved

    async def _sandbox(self, stack: contextlib.AsyncExitStack) -> Choice:
        """Choose and enter the sandbox, in the session's own task."""
        configured = self._config.sandbox_backend
        names = candidates(configured, self._host.plugins.names("sandbox"))
        cache = self._config.home / "cache"
        choice = await choose(names, configured != "auto", lambda name: self._parts.found("sandbox", name), cache)
        if choice.found is None:
            self._warn(f"no sandbox works here, so commands are not run unless you approve each: {choice.reason}")
        else:
            with guarded(choice.found.origin, "starting the sandbox"):
                await stack.enter_async_context(choice.sandbox)
            stack.push_async_callback(self._running.close)  # before the sandbox is left
        return choice

    async def _tools(self, stack: contextlib.AsyncExitStack, workbench: Workbench) -> Mapping[str, OfferedTool]:
        offered: dict[str, OfferedTool] = {}
        toolsets = []
        for name in self._host.plugins.names("toolset"):
            try:
                found = self._parts.optional("toolset", name)
                if found is None:
                    continue
                tools = {tool.spec.name: tool for tool in await _tools_of(found, stack, workbench)}
                for name in tools.keys() & offered.keys():
                    raise PluginError(
                        f"{found.origin} and {offered[name].origin} both have a tool {name!r}; disable one"
                    )
                offered |= {name: OfferedTool(tool, found.origin) for name, tool in tools.items()}
                toolsets.append(found)
            except PluginError as error:
                self._warn(f"{error}; its tools are left out")
        workbench.toolsets = tuple(toolsets)
        workbench.tools = {name: Found(tool.tool, "tool", name, tool.origin) for name, tool in offered.items()}
        return offered

    async def _instructions(self) -> str:
        """The texts of all instructions in the order of their ranks, then names."""
        texts: list[tuple[int, str, str]] = []
        for name in self._host.plugins.names("instructions"):
            try:
                found = self._parts.optional("instructions", name)
                if found is not None:
                    with guarded(found.origin, f"giving the instructions {name!r}"):
                        budget = self._config.project_doc_max_bytes
                        text = await anyio.to_thread.run_sync(found.part.text, self._host.cwd, budget)
                    texts += [(found.part.rank, name, text)] if text else []
            except PluginError as error:
                self._warn(f"{error}; left out")
        return "\n\n".join(text for _, _, text in sorted(texts))

    def _observers(self, kind: str) -> Sequence[Observer]:
        observers = []
        for name in self._host.plugins.names(kind):
            try:
                found = self._parts.optional(kind, name)
                if found is not None:
                    observers.append(observer_of(found))
            except PluginError as error:
                self._audience.show(Notice(f"{error}; left out", NoticeLevel.WARNING))
        return observers

    async def _finish_watchers(self) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._watchers.finish)

    def _started(self, session_id: str, model: Model) -> SessionStarted:
        config = self._config
        names = candidates(config.sandbox_backend, self._host.plugins.names("sandbox"))
        return SessionStarted(
            session_id=session_id,
            model=config.model,
            provider=model.provider.name,
            cwd=self._host.cwd,
            approval_policy=config.approval_policy,
            permissions=config.permissions.words(),
            sandbox=None if config.permissions.unrestricted or not names else names[0],
        )

    def _began(self, session_id: str) -> SessionBegan:
        config = self._config
        return SessionBegan(session_id, time.time(), self._host.cwd, config.model, config.model_provider, __version__)

    def _warn(self, message: str) -> None:
        self._watchers.show(Notice(message, NoticeLevel.WARNING))


async def _tools_of(found: Found, stack: contextlib.AsyncExitStack, workbench: Workbench) -> Sequence[Tool]:
    try:
        with guarded(found.origin, f"opening the toolset {found.name!r}"):
            await stack.enter_async_context(found.part)
            tools: Sequence[Tool] = await found.part.open(workbench)
            return tools
    except ConfigError as error:
        raise ConfigError(f"{found.origin}: {error}") from error


def _new_id() -> str:
    """A new session's id: a UUID of version 7 (RFC 9562), which holds the time, so that ids sort by it."""
    random = uuid.uuid4().int
    milliseconds = time.time_ns() // 10**6
    bits = milliseconds << 80 | 7 << 76 | (random >> 64 & 0xFFF) << 64 | 2 << 62 | random & (1 << 62) - 1
    return str(uuid.UUID(int=bits))


def _has_home() -> bool:
    with contextlib.suppress(RuntimeError):
        return bool(Path.home())
    return False
