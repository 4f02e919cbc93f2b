"""The hooks: how a plugin tells the host that it has a part. The manual for plugin authors.

A plugin is a Python distribution. It names its parts in its metadata, one entry-point group per kind, with the
generation of this interface (`v1`) in the group's name. The entry's name is what a user types, its value the module
that answers for it:

    [project.entry-points."codex_host.v1.provider"]
    ollama = "codex_provider_ollama"

The module implements the hook of that kind:

    from codex_host.hookspecs import hookimpl
    from codex_host.parts import Provider

    @hookimpl
    def codex_provider(name):
        if name == "ollama":
            return Provider(name="Ollama", base_url="http://localhost:11434/v1", wire_api="chat")

What holds for every hook:

* A hook is a cheap factory. It is called when somebody asks for the name, in the run that needs it and in no other; it
  returns a part (`codex_host.parts`), which then works by plain method calls. It does not read files or talk
  to servers.
* It takes `name` (the entry's name), and those of `config` (the run's `Config`) and `parts` (other parts, by name) that
  it wants; leave out what you don't need.
* None means "not mine". The host asks only the module that the metadata names, so a module never answers for a
  name that its own distribution does not claim.
* What a hook raises is reported with the distribution's name and version. A `CodexError` is for the user and
  is shown as it is; anything else is a bug of the plugin. Whether the run goes on without the part is said
  with each hook.
* Import heavy libraries inside the function that needs them: the module is imported on the way to the first request.

Implementations marked as wrappers are rejected. A plugin that wants to change another part takes a name of its own and
asks `parts` for the inner one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from codex_host.config import Config
    from codex_host.parts import (
        ApprovalPolicy,
        Frontend,
        Instructions,
        Notifier,
        Parts,
        Provider,
        Recorder,
        Sandbox,
        SessionStore,
        Toolset,
        WireApi,
    )

__all__ = ["hookimpl"]

PROJECT = "codex_host"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


# --- Asked for one name: without the part there is no run ----------------------------------------------------------


@hookspec(firstresult=True)
def codex_provider(name: str, config: Config, parts: Parts) -> Provider | None:
    """Make the model provider called `name`.

    Asked when a session opens, for the `model_provider` of the config. A `[model_providers.NAME]` table amends the
    part field by field, so return plain data and let the user override it. Failing ends the run, exit code 2.
    """


@hookspec(firstresult=True)
def codex_wire_api(name: str, config: Config, parts: Parts) -> WireApi | None:
    """Make the wire API called `name`.

    Asked when a session opens, for the provider's `wire_api`. Failing ends the run, exit code 2.
    """


@hookspec(firstresult=True)
def codex_sandbox(name: str, config: Config, parts: Parts) -> Sandbox | None:
    """Make the sandbox backend called `name`.

    Asked before the first command of a session, for the `sandbox_backend` of the config; for "auto" the platform's
    candidates are asked in order and the first one that passes a trial run is taken. Fails closed: a backend that the
    user named and that does not work ends the run with exit code 5, and nothing runs without it.
    """


@hookspec(firstresult=True)
def codex_approval_policy(name: str, config: Config, parts: Parts) -> ApprovalPolicy | None:
    """Make the approval policy called `name`.

    Asked when a session opens, for the `approval_policy` of the config. Fails closed: exit code 2 when it cannot be
    made, and an action whose review fails is refused.
    """


@hookspec(firstresult=True)
def codex_session_store(name: str, config: Config, parts: Parts) -> SessionStore | None:
    """Make the session store called `name`.

    Asked when a session opens, for the `session_store` of the config, unless sessions are not to be kept. Failing ends
    the run, since a session that cannot be written down is lost when the process ends.
    """


# --- Asked of every enabled entry: a run can do without one ---------------------------------------------------------


@hookspec(firstresult=True)
def codex_toolset(name: str, config: Config, parts: Parts) -> Toolset | None:
    """Make the toolset called `name`.

    Asked of every enabled entry when a session opens; None if the config gives it nothing to offer. A toolset
    that cannot be made is named, left out, and the user is told.
    """


@hookspec(firstresult=True)
def codex_instructions(name: str, config: Config, parts: Parts) -> Instructions | None:
    """Make the instructions called `name`.

    Asked of every enabled entry when a session opens; the texts are joined in the order of their ranks. One that
    cannot be made is named and left out.
    """


@hookspec(firstresult=True)
def codex_recorder(name: str, config: Config, parts: Parts) -> Recorder | None:
    """Make the recorder called `name`, or None if the config switches it off.

    Asked of every enabled entry at the first event. Fails open: it is named, left out, and the run goes on.
    """


@hookspec(firstresult=True)
def codex_notifier(name: str, config: Config, parts: Parts) -> Notifier | None:
    """Make the notifier called `name`, or None if the config gives it nothing to do.

    Asked of every enabled entry when the first task ends. Fails open: it is named, left out, and the run goes on.
    """


# --- Asked when the word is typed -----------------------------------------------------------------------------------


@hookspec(firstresult=True)
def codex_frontend(name: str) -> Frontend | None:
    """Make the frontend called `name`.

    Asked when the user types `codex NAME` or `--frontend NAME`, before the configuration is read: the frontend's own
    options take part in it. Failing ends the run, exit code 2.
    """


@hookspec(firstresult=True)
def codex_command(name: str) -> click.Command | None:
    """Make the command called `name`.

    Asked when the user types `codex NAME`, or `codex NAME --help`. A dot in the entry's name nests: `approvals.why` is
    `codex approvals why`. The configuration is not read for it; a command that wants it, or other parts, takes the
    `CommandContext` that `click.pass_obj` hands it. Failing ends the run, exit code 2.
    """
