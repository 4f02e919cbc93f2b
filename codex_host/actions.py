"""What the host does for the model, and how it is decided.

A tool describes an action as plain data and hands it to `Workbench.perform`. The host then finds out what it really
is (`Toolset.interpret`), has it reviewed by the approval policy (`Run`, `Ask` or `Refuse`), carries it out inside the
fence, and returns an outcome. There are three actions and no others: running a command, changing files, and a tool
call whose effects the host cannot see.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from codex_host.items import ToolResult
from codex_host.permissions import Fence

__all__ = [
    "Action",
    "AddFile",
    "Ask",
    "CommandGrant",
    "Denial",
    "DeleteFile",
    "Exec",
    "Failed",
    "FileChange",
    "FileDiff",
    "Grant",
    "Hunk",
    "Outcome",
    "Output",
    "Patch",
    "Patched",
    "Ran",
    "Refuse",
    "Refused",
    "ReviewContext",
    "Run",
    "ToolGrant",
    "UpdateFile",
    "Use",
    "Used",
    "Verdict",
]


@dataclass(frozen=True, slots=True)
class Exec:
    """Run one program: `argv` as it stands, no shell added, looked up in the child's PATH.

    `cwd` is absolute. `timeout` is in seconds; after it the whole process tree is ended. None means no limit.
    """

    argv: tuple[str, ...]
    cwd: Path
    timeout: float | None = 10.0


@dataclass(frozen=True, slots=True)
class Hunk:
    """One replacement in a text file, found by its lines and not by their number.

    Lines have no line ending. `context` are lines to seek first, in order, each after the one before (the
    `@@` lines of a patch); then `old` is sought from there and replaced by `new`. `at_end` says that `old`
    stands at the end of the file. An empty `old` inserts after the context, or at the end if there is none or
    `at_end` is set.
    """

    old: tuple[str, ...]
    new: tuple[str, ...]
    context: tuple[str, ...] = ()
    at_end: bool = False


@dataclass(frozen=True, slots=True)
class AddFile:
    """Create a file with this text; missing folders above it are created too. It must not exist yet."""

    path: Path
    text: str


@dataclass(frozen=True, slots=True)
class DeleteFile:
    """Remove a file, which must exist and not be a folder."""

    path: Path


@dataclass(frozen=True, slots=True)
class UpdateFile:
    """Change a file by hunks, in order; then, if `move_to` is given, it goes there. No hunks: a pure rename."""

    path: Path
    hunks: tuple[Hunk, ...]
    move_to: Path | None = None


FileChange = AddFile | DeleteFile | UpdateFile


@dataclass(frozen=True, slots=True)
class Patch:
    """Changes of files that are made all together or not at all; paths are absolute, not yet resolved."""

    changes: tuple[FileChange, ...]


@dataclass(frozen=True, slots=True)
class Use:
    """A call of a tool with `Effects.OUTSIDE`; the review of the call is the review of all that it does."""

    tool: str
    arguments: str


Action = Exec | Patch | Use


@dataclass(frozen=True, slots=True)
class Run:
    """Verdict: do it, for this reason.

    It never opens the fence: a patch that leaves it fails, and a command that no sandbox would hold is asked about
    all the same, unless the user granted everything.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Verdict: a person decides; `reason` is shown with the question. With nobody to ask it counts as refused.

    An approved patch may touch exactly the files it names, even outside the fence.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Verdict: it is not done; the model and the user read the reason."""

    reason: str


Verdict = Run | Ask | Refuse


@dataclass(frozen=True, slots=True)
class CommandGrant:
    """A standing approval of exactly this command in exactly this folder.

    `outside` is whether it was given for a run outside the sandbox; a grant for the inside never opens the outside.
    """

    argv: tuple[str, ...]
    cwd: Path
    outside: bool = False


@dataclass(frozen=True, slots=True)
class ToolGrant:
    """A standing approval of all calls of one tool."""

    tool: str


Grant = CommandGrant | ToolGrant


@dataclass(frozen=True, slots=True)
class ReviewContext:
    """What an approval policy may know beside the action.

    `fence` is what the action is held to. `sandboxed` says whether a command would really run inside it: False when
    no sandbox works here (then nothing holds a command back) and when the fence is open (the user said so). `writes`
    are the real paths that a patch touches. `grants` are the standing approvals.
    """

    fence: Fence
    sandboxed: bool
    writes: tuple[Path, ...] = ()
    grants: tuple[Grant, ...] = ()

    @property
    def held(self) -> bool:
        """Whether a command runs as the user wants it: in a sandbox, or in none since everything is granted."""
        return self.sandboxed or self.fence.open

    def granted(self, action: Action, *, outside: bool = False) -> bool:
        """Whether a standing approval covers this action; a patch is approved once only, each by itself."""
        match action:
            case Exec(argv, cwd):
                return CommandGrant(argv, cwd, outside) in self.grants
            case Use(tool):
                return ToolGrant(tool) in self.grants
            case Patch():
                return False


@dataclass(frozen=True, slots=True)
class Output:
    """What a command wrote, both streams as they came: the beginning and the end, and how much is missing between.

    `total` and `left_out` count bytes; `left_out` is 0 when `head` holds everything (and `tail` is empty).
    """

    head: str = ""
    tail: str = ""
    total: int = 0
    left_out: int = 0

    @property
    def text(self) -> str:
        """The output as one text, the gap named in a line of its own."""
        if not self.left_out:
            return self.head + self.tail
        return f"{self.head}\n[... {self.left_out} bytes left out ...]\n{self.tail}"


@dataclass(frozen=True, slots=True)
class Denial:
    """The sandbox stopped something, as far as it can be known.

    `what` is the path or host, `rule` the part of the fence that forbids it, `permission` the smallest
    `sandbox_permissions` word that would allow it, None if none would.
    """

    what: str
    rule: str
    permission: str | None = None


@dataclass(frozen=True, slots=True)
class Ran:
    """A command ran to its end. `exit_code` is 0 to 255, or minus the number of the signal that ended it."""

    exit_code: int
    output: Output
    seconds: float
    timed_out: bool = False
    sandboxed: bool = True
    denial: Denial | None = None


@dataclass(frozen=True, slots=True)
class FileDiff:
    """One file that a patch changes: `kind` is "add", "update" or "delete", `diff` a unified diff for people.

    `moved_to` is where an updated file goes, None if it stays.
    """

    path: Path
    kind: str
    diff: str
    moved_to: Path | None = None


@dataclass(frozen=True, slots=True)
class Patched:
    """A patch was applied, all of it."""

    files: tuple[FileDiff, ...]

    def summary(self, cwd: Path) -> str:
        """What the model is told: a line for each file, added (A), modified (M) or deleted (D), relative to `cwd`.

        A file that moved is modified at its new place and deleted at the old one.
        """
        lines = []
        for file in self.files:
            letter = {"add": "A", "delete": "D"}.get(file.kind, "M")
            lines.append((letter, file.moved_to or file.path))
            if file.moved_to:
                lines.append(("D", file.path))
        if not lines:
            return "Success. No file is different from before."
        lines.sort(key=lambda line: "AMD".index(line[0]))
        told = [f"{letter} {path.relative_to(cwd) if path.is_relative_to(cwd) else path}" for letter, path in lines]
        return "\n".join(["Success. Updated the following files:", *told])


@dataclass(frozen=True, slots=True)
class Used:
    """A tool with effects outside was called and answered."""

    result: ToolResult


@dataclass(frozen=True, slots=True)
class Refused:
    """The action was not carried out. `by` is who refused: the policy's name or "user"."""

    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The action was allowed and could not be carried out (no such program, a patch that does not fit)."""

    reason: str


Outcome = Ran | Patched | Used | Refused | Failed
