"""What watchers are told, in the order in which it happens.

Events go to the audience of a conversation (a frontend, on the event loop) and to its observers (recorders and
notifiers, each in a thread of its own). Nothing in the host waits for what they do with them, and nothing depends on
it. Deltas and command output are pieces that the host may merge; every other event is complete and is never merged or
dropped. Later versions add events: a watcher ignores those it does not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from codex_host.actions import Action, FileDiff, Outcome
from codex_host.items import Usage

__all__ = [
    "ActionEnded",
    "ActionStarted",
    "CallFailed",
    "Ending",
    "Event",
    "MessageDelta",
    "MessageDone",
    "Notice",
    "NoticeLevel",
    "OutputDelta",
    "EndingKind",
    "PlanChanged",
    "PlanStep",
    "Delta",
    "ReasoningSummaryDone",
    "ReasoningSummaryDelta",
    "ReplyDiscarded",
    "SessionStarted",
    "StepStatus",
    "TaskEnded",
    "TaskStarted",
    "ReplyEnded",
]


class EndingKind(Enum):
    """How a task can end."""

    ANSWERED = "answered"
    FAILED = "failed"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a task ended: the one value from which a run's exit code is computed.

    `message` is the last thing the model said if it answered, else what went wrong, for a person. `exit_code` is 0
    only for an answer.
    """

    kind: EndingKind
    message: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """The session is open; first of all events. `sandbox` is the backend's name, None if commands run without one."""

    session_id: str
    model: str
    provider: str
    cwd: Path
    approval_policy: str
    permissions: tuple[str, ...]
    sandbox: str | None


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """The user asked for something."""

    task_id: str
    prompt: str


@dataclass(frozen=True, slots=True)
class MessageDelta:
    """A further piece of what the model is saying."""

    text: str


@dataclass(frozen=True, slots=True)
class MessageDone:
    """The model has said this; it repeats the pieces before it."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningSummaryDelta:
    """A further piece of the reasoning summary."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningSummaryDone:
    """A reasoning summary is complete; it repeats the pieces before it."""

    text: str


@dataclass(frozen=True, slots=True)
class ReplyDiscarded:
    """The stream broke and is asked for again: whatever was shown of this reply is void."""

    reason: str


@dataclass(frozen=True, slots=True)
class ActionStarted:
    """An action passed its review and begins. Refused actions only end.

    One call may have several actions, one after the other; each ends before the next begins, but for a command that is
    kept running, which ends whenever it does. `files` is what a patch
    will change; `outside` says that a command runs outside the sandbox, as the user allowed.
    """

    call_id: str
    action: Action
    files: tuple[FileDiff, ...] = ()
    outside: bool = False


@dataclass(frozen=True, slots=True)
class OutputDelta:
    """A further piece of a running command's output."""

    call_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ActionEnded:
    """An action is over, carried out or refused."""

    call_id: str
    action: Action
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class CallFailed:
    """A call came to no action: no such tool, arguments that make no sense. The model was told the reason."""

    call_id: str
    tool: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    """One reply of the model is complete, its calls are still to be answered; `usage` is what it cost."""

    usage: Usage


class NoticeLevel(Enum):
    """How urgent a notice is."""

    INFO = "info"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something worth knowing that is no failure of the task: a retry, a plugin left out."""

    message: str
    level: NoticeLevel = NoticeLevel.INFO


class StepStatus(Enum):
    """How far a step of a plan is."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One step of what the model is going to do."""

    text: str
    status: StepStatus = StepStatus.PENDING


@dataclass(frozen=True, slots=True)
class PlanChanged:
    """The model's plan is this now; `explanation` says why it changed, if the model said so."""

    steps: tuple[PlanStep, ...]
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """The task is over. `messages` is what the user sent for it, `usage` what it cost in all."""

    task_id: str
    messages: tuple[str, ...]
    ending: Ending
    usage: Usage = Usage()


Delta = MessageDelta | ReasoningSummaryDelta | OutputDelta
"""Events that may be merged with their neighbours of the same source."""

Event = (
    SessionStarted
    | TaskStarted
    | MessageDelta
    | MessageDone
    | ReasoningSummaryDelta
    | ReasoningSummaryDone
    | ReplyDiscarded
    | ActionStarted
    | OutputDelta
    | ActionEnded
    | CallFailed
    | ReplyEnded
    | Notice
    | PlanChanged
    | TaskEnded
)
