"""Running a frontend: the options that all frontends share, the configuration they make, and signals."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from codex_host._plugins import Found, Plugins, guarded
from codex_host.errors import CodexError, PluginError, UsageError

__all__ = ["PluginCommandContext", "default_frontend", "frontend_command", "sandbox_flags", "sandbox_options"]

HARD_END = 4.0
"""Seconds after a signal when the process ends whatever it is doing."""


def sandbox_options() -> list[click.Parameter]:
    """The options that say what commands may touch; for frontends and for `codex sandbox run`."""
    presets = ["read-only", "workspace-write", "danger-full-access"]
    return [
        click.Option(
            ["-s", "--sandbox-permission", "permissions"], multiple=True, help="Grant this permission (repeatable)."
        ),
        click.Option(["--sandbox", "sandbox_mode"], type=click.Choice(presets), help="A preset of permissions."),
        click.Option(
            ["--sandbox-backend"], metavar="NAME", help="The sandbox to use; `auto` takes the first that works."
        ),
        click.Option(["--full-auto"], is_flag=True, help="Let commands write to the working and the temporary folder."),
    ]


def sandbox_flags(options: Mapping[str, Any], cwd: Path) -> dict[str, Any]:
    """The config values that these options stand for; relative folders are relative to `cwd`."""
    from codex_host.permissions import FULL_AUTO, PRESETS, Permissions

    flags = {"sandbox_backend": options["sandbox_backend"]} if options["sandbox_backend"] else {}
    if options["sandbox_mode"] and not (options["permissions"] or options["full_auto"]):
        return {**flags, "sandbox_mode": options["sandbox_mode"]}  # with what the config changes in it
    presets = [FULL_AUTO] if options["full_auto"] else []
    presets += [PRESETS[options["sandbox_mode"]]] if options["sandbox_mode"] else []
    if presets or options["permissions"]:
        try:
            granted = Permissions.parse(options["permissions"], cwd)
        except ValueError as error:
            raise UsageError(f"--sandbox-permission: {error}") from None
        for preset in presets:
            granted = granted | preset
        flags["sandbox_permissions"] = list(granted.words())
    return flags


def _shared_options() -> list[click.Parameter]:
    return [
        click.Option(["-m", "--model"], help="The model to use."),
        click.Option(["--model-provider"], metavar="NAME", help="The provider that serves the model."),
        click.Option(["-p", "--profile"], metavar="NAME", help="The profile of config.toml to use."),
        click.Option(["-c", "--config", "assignments"], multiple=True, metavar="KEY=VALUE", help="Set a config value."),
        click.Option(["-C", "--cd", "cwd"], metavar="DIR", help="The folder to work in."),
        *sandbox_options(),
        click.Option(["--disable-response-storage"], is_flag=True, help="Let the server keep nothing."),
        click.Option(["--disable-plugin", "disabled"], multiple=True, metavar="NAME", help="Leave out a plugin."),
        click.Option(["--skip-git-repo-check"], is_flag=True, help="Work outside a git work tree too."),
    ]


def frontend_command(plugins: Plugins, name: str) -> click.Command:
    """The command that runs a frontend."""
    found = plugins.part("frontend", name)
    with guarded(found.origin, "naming its options"):
        own = list(found.part.parameters())

    def run(**options: Any) -> int:
        return _run_frontend(found, options)

    help_text = (type(found.part).__doc__ or "").split("\n\n", 1)[0]
    return click.Command(name, params=[*own, *_shared_options()], callback=run, help=help_text)


def default_frontend(plugins: Plugins) -> str:
    """The frontend that `codex` without a word starts.

    Raises PluginError if it is not installed, and UsageError if it needs a terminal and there is none.
    """
    name: str = PluginCommandContext().config.frontend
    if name not in plugins.names("frontend"):
        raise PluginError(
            f"the interactive frontend {name!r} is not installed: pip install codex-frontend-{name}, "
            "or use `codex exec PROMPT`, which needs none"
        )
    if plugins.part("frontend", name).part.interactive and not (os.isatty(0) and os.isatty(1)):
        raise UsageError(f"the frontend {name!r} needs a terminal; without one use `codex exec PROMPT`")
    return name


def _run_frontend(found: Found, options: Mapping[str, Any]) -> int:
    """Configure the host as the options say, run the frontend, and return the exit code."""
    from codex_host._host import Host
    from codex_host._layers import Layer, codex_home, current_folder, load
    from codex_host._tree import become_subreaper

    here = current_folder()
    cwd = here / (options["cwd"] or ".")
    flags = {key: options[key] for key in ("model", "model_provider") if options[key]}
    flags |= {"disable_response_storage": True} if options["disable_response_storage"] else {}
    flags |= {"disabled_plugins": list(options["disabled"])} if options["disabled"] else {}
    flags |= sandbox_flags(options, here)
    layers = load(codex_home(os.environ), os.environ, flags, options["assignments"], options["profile"], cwd)
    with guarded(found.origin, "choosing its settings"):
        own = found.part.settings(options, layers.config)
    host = Host(layers.over(Layer(f"the frontend {found.name}", own, here)), cwd, dict(os.environ))
    become_subreaper()
    return _until_signalled(lambda: found.part.run(host, options))


def _until_signalled(run: Callable[[], Any]) -> int:
    """Run a frontend in an event loop of its own; SIGINT, SIGTERM and SIGHUP cancel it, and are its exit code then."""
    import asyncio  # here, since looking at commands and their options needs no loop

    from codex_host._process import end_all
    from codex_host._tree import end_orphans

    def end_at_once(number: int) -> None:
        end_all()
        end_orphans()
        os._exit(128 + number)

    received: list[int] = []

    async def watched() -> Any:
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        assert task is not None

        def signalled(number: int) -> None:
            if received:
                end_at_once(number)
            received.append(number)
            loop.call_later(HARD_END, end_at_once, number)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, signalled, number)
        return await run()

    terminated = signal.getsignal(signal.SIGTERM)
    try:
        ending = asyncio.run(watched())
    except asyncio.CancelledError as error:
        if not received:
            raise CodexError("the run was cancelled from within; this is a bug, please report it") from error
        ending = None
    finally:
        end_orphans()
        signal.signal(signal.SIGTERM, terminated)  # the loop has put the default in its place
    if received:
        return 128 + received[0]
    return ending.exit_code if ending is not None else 0


class PluginCommandContext:
    """The host's side of the protocol `CommandContext`."""

    @cached_property
    def config(self) -> Any:
        """The user's settings, without any flags."""
        from codex_host._layers import codex_home, load

        return load(codex_home(os.environ), os.environ, {}).config

    @cached_property
    def parts(self) -> Any:
        """The parts that these settings enable."""
        from codex_host._parts import LentParts

        return LentParts(Plugins(disabled=self.config.disabled_plugins), self.config)
