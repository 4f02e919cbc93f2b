"""The errors that a person can do something about, and the exit code that each one ends a run with.

    CodexError                       1   the root: `main` prints its text, never a traceback ├── UsageError
    2   words on the command line; the command line prints it ├── ConfigError                  2   a value in
    a file, a flag or the environment; says where it stands ├── WorkspaceError               2   the folder to
    work in is missing, or no git work tree ├── PluginError                  2   a part that is missing,
    broken, outdated or has failed; names the distribution ├── ModelError                   4   the provider
    did not answer as it should; `_loop` asks again if `retry` allows it │   └── AuthenticationError      3
    no key, or a refused one; never asked again ├── SandboxError                 5   no sandbox works, or its
    set-up failed in the middle of a run; nothing was run ├── RefusalError                 6   a policy, a
    guard or an unanswerable question ended the run ├── BudgetError                  7   a limit of turns or
    time is reached ├── StoreError                   1   the session cannot be written down └── ToolError
    -   told to the model as the output of its call; never leaves `_loop` └── PatchError               -   a
    patch that does not fit the files

Further codes that no class stands for: 0 answered, 70 a bug of ours, 128+n ended by signal n.
Every text says what happened, where, and what to do about it.
"""

from __future__ import annotations

from typing import Literal

__all__ = [
    "AuthenticationError",
    "BudgetError",
    "CodexError",
    "ConfigError",
    "ModelError",
    "ModelErrorKind",
    "PatchError",
    "PluginError",
    "RefusalError",
    "SandboxError",
    "StoreError",
    "ToolError",
    "UsageError",
    "WorkspaceError",
]


ModelErrorKind = Literal["server", "network", "rate", "stream", "quota", "too-long", "key", "request", "forgotten"]
_RETRIED = ("server", "network", "rate", "stream")


class CodexError(Exception):
    """The root of all errors that are meant for a person."""

    exit_code = 1


class UsageError(CodexError):
    """The words on the command line do not go together."""

    exit_code = 2


class ConfigError(CodexError):
    """A configured value is wrong; the text names the key and the file, flag or variable it came from."""

    exit_code = 2


class WorkspaceError(CodexError):
    """The folder to work in cannot be worked in."""

    exit_code = 2


class PluginError(CodexError):
    """A part is missing, broken or outdated; the text names what is installed, or what to install."""

    exit_code = 2


class ModelError(CodexError):
    """The provider did not answer as it should.

    `kind` says what is wrong, and thereby whether the same request may be sent again: after a fault of the server or
    the network, a rate limit or a stream that broke off it may; after anything else nothing would change, except that
    a server that has "forgotten" the reply to go on from can be sent the whole conversation instead. `retry` is
    None for never, else the least number of seconds to wait (0.0: the usual pause).
    """

    exit_code = 4

    def __init__(self, message: str, *, kind: ModelErrorKind = "server") -> None:
        super().__init__(message)
        self.kind = kind
        self.retry: float | None = 0.0 if kind in _RETRIED else None


class AuthenticationError(ModelError):
    """There is no key, or the provider refuses it; asking again would change nothing."""

    exit_code = 3

    def __init__(self, message: str) -> None:
        super().__init__(message, kind="key")


class SandboxError(CodexError):
    """No sandbox works here, or setting one up failed; the command that wanted it was not run."""

    exit_code = 5


class RefusalError(CodexError):
    """The run ended because something was refused that it could not do without."""

    exit_code = 6


class BudgetError(CodexError):
    """A limit that the user set for the run is reached."""

    exit_code = 7


class StoreError(CodexError):
    """The session's log cannot be written, so what happens would be lost."""


class ToolError(CodexError):
    """Something went wrong in a tool call; a tool raises it and the model reads its text."""


class PatchError(ToolError):
    """A patch does not fit the files; the text lets the model repair it."""
