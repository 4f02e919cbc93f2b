"""`codex sandbox run`: one command of the user's, in the sandbox as the model's commands are."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from codex_host import _process
from codex_host._environment import child_environment
from codex_host._frontends import sandbox_flags, sandbox_options
from codex_host._layers import codex_home, current_folder, load
from codex_host._parts import LentParts
from codex_host._plugins import Plugins
from codex_host._sandbox_choice import candidates, choose, launch_in
from codex_host._temporary import TemporaryFolder
from codex_host.actions import Exec
from codex_host.config import Config
from codex_host.errors import CodexError, SandboxError
from codex_host.parts import Launch
from codex_host.permissions import resolve, without_exposing
from codex_host.text import neutralise

__all__ = ["command", "run_command"]

SETUP_FAILED, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127
"""Exit codes beside the command's own, as env(1) and others have them."""


@click.group("sandbox", help="Run a command in the sandbox.")
def command() -> None:
    """The group; its commands do the work."""


def run_command(name: str, backend: str | None = None) -> click.Command:
    """A command that runs its arguments in a sandbox; `backend` fixes which one."""

    def run(**options: Any) -> int:
        fixed = {"sandbox_backend": backend} if backend else {}
        try:
            return asyncio.run(_run({**options, **fixed}, options["argv"]))
        except CodexError as error:
            click.echo(f"codex: {neutralise(str(error))}", err=True)
            return SETUP_FAILED

    return click.Command(
        name,
        callback=run,
        params=[*sandbox_options(), click.Argument(["argv"], nargs=-1, required=True, type=click.UNPROCESSED)],
        context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
        help="Run a command in the sandbox, with the configured permissions or those given here, and end with its exit "
        "code: 128+n if signal n ended it, 125 if the sandbox could not be set up, 126 if the command cannot be "
        "executed, 127 if there is none of that name.",
    )


async def _run(options: Mapping[str, Any], argv: Sequence[str]) -> int:
    cwd = current_folder().resolve()
    config = load(codex_home(os.environ), os.environ, sandbox_flags(options, cwd)).config
    temporary = TemporaryFolder(os.environ, [*_home(), config.home])
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(temporary.remove)
        launch = await _launch(stack, config, Exec(tuple(argv), cwd, None), temporary)
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: None)  # the command gets it, and decides
        try:
            code = await _process.run_attached(launch)
        except OSError as error:
            if isinstance(error, FileNotFoundError) or _process.is_nowhere(argv[0]):
                click.echo(f"codex: there is no program called {argv[0]!r}", err=True)
                return NOT_FOUND
            click.echo(f"codex: {argv[0]!r} cannot be executed: {error.strerror}", err=True)
            return NOT_EXECUTABLE
    return code if code >= 0 else 128 - code


def _home() -> Iterator[Path]:
    """The user's home folder, nothing where there is none."""
    with contextlib.suppress(RuntimeError):
        yield Path.home()


async def _launch(
    stack: contextlib.AsyncExitStack, config: Config, command: Exec, temporary: TemporaryFolder
) -> Launch:
    """The command as the configured sandbox starts it. Raises SandboxError if there is none."""
    granted = without_exposing(config.permissions, config.home)
    fence = resolve(granted, command.cwd, temporary.path(), [config.home])
    keys = [os.environ.get(str(table.get("env_key", "")), "") for table in config.model_providers.values()]
    env = child_environment(os.environ, fence, keys, config.shell_environment_policy)
    if fence.open:
        return Launch(command.argv, env, command.cwd)
    plugins = Plugins(disabled=config.disabled_plugins)
    parts = LentParts(plugins, config)
    names = candidates(config.sandbox_backend, plugins.names("sandbox"))
    named = config.sandbox_backend != "auto"
    choice = await choose(names, named, lambda name: parts.found("sandbox", name), config.home / "cache")
    if choice.found is None:
        raise SandboxError(f"no sandbox works here: {choice.reason}")
    await stack.enter_async_context(choice.sandbox)
    return launch_in(choice.found, command, env, fence)


command.add_command(run_command("run"))
