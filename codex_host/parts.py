"""What plugins supply and what the host lends them.

A plugin supplies parts: objects made by its hooks (`codex_host.hookspecs`), one abstract base class per kind below. A
method added to a base class later has a default, so a part written today goes on working. The host lends protocols:
`Parts`, `Workbench`, `Host`, `Conversation`.

Where a method runs decides what it may do:

* *Pure* methods run on the event loop and neither wait nor touch files, processes or the network: all of `WireApi`,
  `Decoder` and `ApprovalPolicy`, `Toolset.interpret`, `Sandbox.explain`, `Audience.show`.
* `Sandbox.confine`, `Provider.exchange` and `Provider.relay` run on the event loop too; they may open descriptors but
  not wait. What the last two return is entered there, and may.
* *Blocking* methods run in a worker thread, one at a time for each part, not always the same thread:
  `Provider.authenticate`, `Sandbox.unavailable`, `SessionLog`, `SessionStore`, `Instructions`. A `Recorder` or
  `Notifier` has one thread of its own.
* `async` methods run in a task of the session. A frontend's `parameters` and `settings` run before there is a loop.

A part is made for one session (a frontend for one process) and is not shared. Later versions may add events, items and
questions: ignore those you do not know.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from copy import copy as copy_of
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from codex_host import server_errors
from codex_host.actions import Action, Ask, Denial, Exec, FileDiff, Outcome, Ran, ReviewContext, Verdict
from codex_host.errors import ModelError
from codex_host.events import Ending, Event, Notice, PlanChanged, TaskEnded
from codex_host.items import Item, Json, ModelEvent, Request, ToolCall, ToolResult, ToolSpec, Usage
from codex_host.permissions import Fence, Guarantee
from codex_host.records import Record
from codex_host.running import RunningCommand

if TYPE_CHECKING:
    import click

    from codex_host.config import Config

__all__ = [
    "ApprovalPolicy",
    "Approval",
    "Approve",
    "Audience",
    "Confirm",
    "Conversation",
    "Decision",
    "Decoder",
    "Deny",
    "Abort",
    "CommandContext",
    "Frontend",
    "Host",
    "HttpReply",
    "HttpRequest",
    "Instructions",
    "Launch",
    "Notifier",
    "Parts",
    "Provider",
    "Question",
    "Recorder",
    "Sandbox",
    "Scope",
    "Send",
    "ServerEvent",
    "SessionLog",
    "SessionStore",
    "SessionSummary",
    "Tool",
    "Toolset",
    "WireApi",
    "Workbench",
]


# --- Providers and wire APIs: talking to a model ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One attempt of a request, with its final bytes."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpReply:
    """The beginning of an answer; `chunks` yields its body as it comes, in pieces of any size."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


Send = Callable[[HttpRequest], AbstractAsyncContextManager[HttpReply]]
"""The host's own connections, lent: `async with send(request) as reply`. Raises ModelError if nobody answers."""


@dataclass(frozen=True)
class Provider:
    """Where a model is and how one is let in; the same fields as a `[model_providers.NAME]` table.

    Most providers are nothing but an instance of this class. `name` is shown to people; `base_url` ends before the
    wire's path; `wire_api` names the wire. `env_key` is the environment variable that holds the key, sent as a bearer
    token; None sends none. `env_key_overrides` are further variables of which the first that is set holds the key in
    place of `env_key`. `query_params` are appended to every URL, `http_headers` sent as they are,
    `env_http_headers` map a header to the environment variable that holds its value (left out if unset).
    `stream_idle_timeout_ms` is how long a stream may be silent, in milliseconds.

    A provider that signs its requests is a subclass, itself a frozen dataclass; what it needs to remember goes into a
    field such as `cache: dict[str, str] = field(default_factory=dict)`.
    """

    name: str
    base_url: str
    wire_api: str = "chat"
    env_key: str | None = None
    env_key_instructions: str | None = None
    env_key_overrides: tuple[str, ...] = ()
    query_params: Mapping[str, str] = field(default_factory=dict)
    http_headers: Mapping[str, str] = field(default_factory=dict)
    env_http_headers: Mapping[str, str] = field(default_factory=dict)
    request_max_retries: int = 4
    stream_max_retries: int = 10
    stream_idle_timeout_ms: int = 300_000

    def amended(self, changes: Mapping[str, Any]) -> Provider:
        """This provider with some fields changed, as a `[model_providers.NAME]` table says; the host calls it."""
        copy = copy_of(self)
        for name, value in changes.items():
            object.__setattr__(copy, name, value)
        return copy

    def authenticate(self, request: HttpRequest) -> Mapping[str, str]:
        """Further headers for one attempt, made from its final bytes (a signature, a short-lived token).

        Called before each attempt, if overridden. Header names are lower-case; `request.headers` already holds the
        bearer token of `env_key`, which a returned `authorization` replaces. Raises AuthenticationError when it cannot.
        """
        return {}

    def exchange(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpReply] | None:
        """Answer the request without a network, or None (the default) for the host to send it.

        For providers that are in this process: a replay of recorded traffic, an embedded model.
        """
        return None

    def relay(self, request: HttpRequest, send: Send) -> AbstractAsyncContextManager[HttpReply] | None:
        """Answer the request with other requests, or None (the default) for the host to send it as it is.

        For providers that must ask their server something first, or speak another dialect to it: the reply is what the
        wire expects, whatever was sent. Called for each attempt unless `exchange` answers it, with its final headers,
        and for the list of models too (GET). `send` keeps to the time limits, proxies and certificates of the host.
        A ModelError passes on; the host asks again if its `retry` allows it.
        """
        return None


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event of a server-sent event stream: `event` is "message" where the stream does not say."""

    event: str
    data: str


class Decoder(ABC):
    """Turns the server events of one reply into model events; made anew for each reply. Pure."""

    @abstractmethod
    def feed(self, event: ServerEvent) -> Sequence[ModelEvent]:
        """What this event says; nothing for events that mean nothing here, which must not be an error.

        Raises ModelError when the server reports a failure inside the stream; what was said before is discarded.
        """

    @abstractmethod
    def end(self) -> Sequence[ModelEvent]:
        """What the end of the stream says; called once, if no Completed has come before.

        Raises ModelError (kind "stream") when the reply is not whole.
        """


class WireApi(ABC):
    """How a family of servers spells requests and replies. Pure: it sees neither network nor clock."""

    path: ClassVar[str]
    """Appended to the provider's `base_url`, with its leading slash."""
    remembers: ClassVar[bool] = False
    """Whether servers keep a conversation, so that a request may continue a reply instead of repeating all."""
    headers: ClassVar[Mapping[str, str]] = {}
    """Headers that this wire wants on every request."""

    @abstractmethod
    def encode(self, request: Request) -> Json:
        """The request's JSON body."""

    @abstractmethod
    def decoder(self) -> Decoder:
        """A decoder for one reply."""

    def decoder_for(self, request: Request) -> Decoder:
        """A decoder for the reply to this request; the host asks for this one. The default does not look at it.

        For wires whose replies can't be read without the question, such as a tool call that is written as text.
        """
        return self.decoder()

    def explain(self, status: int, headers: Mapping[str, str], body: bytes) -> ModelError:
        """What a failed request means, as an error to raise. `headers` have lower-case names.

        The default reads `{"error": {"message", "code", "type"}}`, which most servers send, and decides by the status.
        The host itself obeys `Retry-After`, where the error may be retried at all.
        """
        return server_errors.from_reply(status, body)


# --- Sandboxes: holding a command back ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start one confined command. A sandbox describes, the host runs.

    `argv`, `env` and `cwd` are what is really started (they may wrap the command's own). `pass_fds` stay open in the
    child. `restrict` is called in a fresh thread immediately before the start and binds that thread and all that comes
    of it; if it raises, nothing runs. It must only make system calls: no imports, no logging, little memory.
    `setup_error` is asked after the end and tells whether a wrapper failed before the command ran: then a text for a
    person, else None. `close` is called once in every case, after the end or after a start that failed. Both run on the
    event loop.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    pass_fds: tuple[int, ...] = ()
    restrict: Callable[[], None] | None = None
    setup_error: Callable[[Ran], str | None] | None = None
    close: Callable[[], None] | None = None


class Sandbox(ABC):
    """A way to hold commands inside a fence.

    An async context manager: entered before the session's first sandboxed command, left when the session ends, so that
    it can keep helpers (a fork server, a container). The default enters and leaves without doing anything. It shows
    the workspace at the same paths as the host sees it.
    """

    guarantees: ClassVar[frozenset[Guarantee]]
    """What it enforces. A fence that demands more is refused by the host, never weakened."""

    async def __aenter__(self) -> Sandbox:
        return self

    async def __aexit__(self, *exception: object) -> None:
        return None

    @abstractmethod
    def unavailable(self) -> str | None:
        """Why it cannot work here, for a person, or None; a quick look before the host tries it for real."""

    @abstractmethod
    def confine(self, command: Exec, env: Mapping[str, str], fence: Fence) -> Launch:
        """Describe how this command is started so that the fence holds. Cheap; allocates descriptors at most.

        `env` is the child's whole environment, ready. Raises SandboxError if the fence cannot be held.
        """

    def explain(self, command: Exec, fence: Fence, outcome: Ran) -> Denial | None:
        """What the sandbox stopped in a command that failed, or None if it cannot tell.

        Called for outcomes other than exit code 0 only. With None the host looks for the usual error texts itself.
        """
        return None


# --- Approval: deciding what is done ------------------------------------------------------------------------------


class ApprovalPolicy(ABC):
    """Decides what the model may do without a question. Pure: the same action and context give the same verdict.

    The host fails closed around it: a review that raises refuses the action, and `Run` does not let a command run that
    nothing holds back (see `Run`).
    """

    @abstractmethod
    def review(self, action: Action, context: ReviewContext) -> Verdict:
        """The verdict on an action, before it is carried out inside the fence.

        A command runs in the sandbox (if `context.sandboxed`), so the policy decides on intent; a patch or a command
        that nothing holds back deserves more care.
        """

    def after_denial(self, command: Exec, outcome: Ran, context: ReviewContext) -> Ask | None:
        """Whether to offer one run outside the sandbox, after the sandbox stopped a command. None: it stays denied."""
        return None


@dataclass(frozen=True, slots=True)
class Approval:
    """Question: may this be done?

    `files` is what a patch would change. `outside` says that a yes means running a command with nothing to
    hold it back: outside the sandbox, after `denial`, or because no sandbox works here (`denial` is None
    then).
    """

    call_id: str
    action: Action
    reason: str
    files: tuple[FileDiff, ...] = ()
    outside: bool = False
    denial: Denial | None = None


@dataclass(frozen=True, slots=True)
class Confirm:
    """Question: yes or no? Its answer is a bool; with nobody there it counts as no."""

    text: str


Question = Approval | Confirm


class Scope(Enum):
    """How long an approval holds."""

    ONCE = "once"
    SESSION = "session"
    """Until the session ends, for the same command in the same folder, or the same tool; never for a patch."""


@dataclass(frozen=True, slots=True)
class Approve:
    """Answer: do it."""

    scope: Scope = Scope.ONCE


@dataclass(frozen=True, slots=True)
class Deny:
    """Answer: don't. `feedback` reaches the model; empty if the user said nothing."""

    feedback: str = ""


@dataclass(frozen=True, slots=True)
class Abort:
    """Answer: don't, and stop the task."""


Decision = Approve | Deny | Abort


# --- Tools: what the model can ask for ----------------------------------------------------------------------------


class Workbench(Protocol):
    """What the host lends to tools: the only way to act on the machine that is watched over."""

    @property
    def cwd(self) -> Path:
        """The session's working directory, absolute and real."""

    async def perform(self, call_id: str, action: Action) -> Outcome:
        """Review an action and carry it out. `call_id` is the call's, so that watchers can tell whose it is.

        Never raises for what goes wrong with the action: that is an outcome (`Refused`, `Failed`). A SandboxError or
        an interrupt passes through; a tool must let it.
        """

    async def start(self, call_id: str, command: Exec, *, terminal: bool = False) -> RunningCommand | Outcome:
        """Review a command and keep it running beside what comes after it, with an input and, if wanted, a terminal.

        An outcome says that it did not begin, or was really something else (`Toolset.interpret`) and is done. Watchers
        are told of its end when it comes. It is never run again outside the sandbox.
        """

    async def read_file(self, path: Path) -> bytes:
        """A file of at most 10 MiB that a command could read too; nobody is asked. Raises ToolError."""

    def emit(self, event: Notice | PlanChanged) -> None:
        """Tell watchers something; never raises."""


class Tool(ABC):
    """One tool that the model can call.

    `synonyms` are further names that models use for it without having been told; they are answered, not offered.
    """

    spec: ToolSpec
    synonyms: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    async def call(self, call: ToolCall) -> ToolResult:
        """Answer one call. Raises ToolError for what the model should read as the reason of a failure."""


class Toolset(ABC):
    """Tools with a common life. An async context manager, entered when a session opens and left when it ends.

    If entering or `open` fails, the toolset is left out and the user is told, unless it raises a ConfigError: that
    ends the session. What was entered is always left.
    """

    async def __aenter__(self) -> Toolset:
        return self

    async def __aexit__(self, *exception: object) -> None:
        return None

    @abstractmethod
    async def open(self, workbench: Workbench) -> Sequence[Tool]:
        """The tools to offer; called once, after entering. Names that another toolset has are an error."""

    def interpret(self, command: Exec) -> Action | None:
        """What a command really is, if this toolset knows (`apply_patch ...` is a Patch), or None. Pure.

        Raises ToolError if the command is this toolset's and makes no sense; it is not run then.
        """
        return None


# --- Instructions, sessions, observers ----------------------------------------------------------------------------


class Instructions(ABC):
    """A text that tells the model how to work. All of them are joined in the order of their ranks."""

    BASE: ClassVar[int] = 0
    USER: ClassVar[int] = 10
    PROJECT: ClassVar[int] = 20

    rank: int
    """Where it stands; equal ranks are ordered by name."""

    @abstractmethod
    def text(self, cwd: Path, budget: int) -> str | None:
        """The text for a session in `cwd`, or None for nothing. Asked once, when the session opens.

        `budget` is `project_doc_max_bytes`, the most bytes of UTF-8 that texts from the project may have;
        texts that come with a program or from the user's own folder need not keep to it. If it raises, the
        text is left out and the user is told.
        """


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """A session in a list. `time` is when it began, in seconds since 1970."""

    session_id: str
    time: float
    cwd: Path


class SessionLog(ABC):
    """One session's log, open for writing by nobody else. Blocking."""

    @abstractmethod
    def append(self, records: Sequence[Record]) -> None:
        """Write the records so that they survive the end of this process. Raises StoreError."""

    @abstractmethod
    def close(self) -> None:
        """Let others write; safe to call twice."""


class SessionStore(ABC):
    """Where sessions are kept. Blocking."""

    @abstractmethod
    def open(self, session_id: str) -> SessionLog:
        """The log of this session, made if there is none. Raises StoreError if somebody else has it open."""

    @abstractmethod
    def sessions(self) -> Iterator[SessionSummary]:
        """All sessions, the latest first; lazily, since only the first few may be wanted."""

    @abstractmethod
    def load(self, session_id: str) -> Iterator[Record]:
        """A session's records in order, up to the last complete one. Raises StoreError if there is no such session."""


class Recorder(ABC):
    """Writes down what happens, for other purposes than going on with a session. Blocking; fails open.

    The first event it gets is SessionStarted.
    """

    @abstractmethod
    def record(self, event: Event) -> None:
        """One complete event, never a delta; in order."""

    def close(self) -> None:
        """The session is over."""


class Notifier(ABC):
    """Tells somebody who is not watching that a task is over. Blocking; fails open."""

    @abstractmethod
    def notify(self, event: TaskEnded) -> None:
        """A task has ended, in whatever way. At the end of a run the host waits 2 s for this, no longer."""


# --- Frontends: whom the host works for ---------------------------------------------------------------------------


class Audience(ABC):
    """Who watches a conversation and answers its questions. A frontend supplies one to `Host.open`."""

    @abstractmethod
    def show(self, event: Event) -> None:
        """Called on the event loop for each event, in order; must not block. Deltas come merged."""

    async def ask(self, question: Question) -> Decision | bool | None:
        """Answer a question: an Approval with a Decision, a Confirm with a bool. One at a time.

        None means that nobody is there to answer, or that the question is of an unknown kind; it is also the default.
        Being cancelled means: take the question down.
        """
        return None


class Conversation(Protocol):
    """A session at work. Its methods may be called from any task of the event loop."""

    @property
    def session_id(self) -> str:
        """The session's name in the store."""

    @property
    def usage(self) -> Usage:
        """The tokens used so far."""

    def history(self) -> Sequence[Item]:
        """All that was said, oldest first."""

    async def submit(self, prompt: str) -> Ending:
        """Give the model a task and wait for its end; tasks given meanwhile wait their turn."""

    def interrupt(self) -> None:
        """End the running task, its commands and questions; the conversation can go on. Nothing if none runs."""


class Host(Protocol):
    """The host as a frontend sees it, configured and not yet at work."""

    @property
    def config(self) -> Config:
        """The settings of this run, all layers merged."""

    @property
    def cwd(self) -> Path:
        """The folder to work in, absolute and real."""

    def open(self, audience: Audience) -> AbstractAsyncContextManager[Conversation]:
        """Start a session. Raises PluginError, ConfigError, SandboxError or StoreError if a part does not come up."""


class Frontend(ABC):
    """A way to use the host: its command-line options, and what happens when it runs."""

    interactive: ClassVar[bool] = False
    """Whether it needs a terminal and a person."""

    def parameters(self) -> Sequence[click.Parameter]:
        """Options and arguments beside those that all frontends share."""
        return ()

    def settings(self, options: Mapping[str, Any], config: Config) -> Mapping[str, Any]:
        """Config values that this run sets above all others, by key; `config` is what holds without them."""
        return {}

    @abstractmethod
    async def run(self, host: Host, options: Mapping[str, Any]) -> Ending | None:
        """Do the work, in the process's main task. `options` are the values of all options, shared ones included.

        The exit code is that of the ending of the last task, 0 for None: nothing was asked. A CodexError that gets out
        is printed and decides the exit code. Signals are the command line's affair: SIGINT and SIGTERM cancel this
        task, which has 2 s to leave; the exit code is 128 + n then.
        """


class CommandContext(Protocol):
    """What a plugin's command finds as `click.Context.obj`; read on first use, so that `--help` reads nothing."""

    @property
    def config(self) -> Config:
        """The user's settings, without any flags."""

    @property
    def parts(self) -> Parts:
        """The parts that these settings enable."""


class Parts(Protocol):
    """Other parts, by name, lent to hooks: for a part that wraps another one.

    A part that asks, over however many steps, for itself is an error that names the chain. Each method raises
    PluginError if there is no such part, saying which are installed.
    """

    def provider(self, name: str) -> Provider:
        """The provider of that name, amended by the config."""

    def wire_api(self, name: str) -> WireApi:
        """The wire API of that name."""

    def sandbox(self, name: str) -> Sandbox:
        """The sandbox backend of that name."""

    def approval_policy(self, name: str) -> ApprovalPolicy:
        """The approval policy of that name."""

    def session_store(self, name: str) -> SessionStore:
        """The session store of that name."""
