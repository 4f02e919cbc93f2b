"""The lazy click group: names and help lines without imports, and a module only for the word that is typed."""

from __future__ import annotations

import difflib
import importlib
from functools import cached_property

import click

from codex_host import __version__
from codex_host._cli import HOST_COMMANDS
from codex_host._plugins import Plugins, summary
from codex_host.errors import PluginError

__all__ = ["group"]


def group() -> click.Group:
    """The command `codex`."""
    return _Codex(
        "codex",
        help="A coding agent for the terminal. `codex exec PROMPT` works without asking; see `codex exec --help`.",
        context_settings={"help_option_names": ["-h", "--help"]},
        params=[click.Option(["-V", "--version"], is_flag=True, is_eager=True, expose_value=False, callback=_version)],
        no_args_is_help=False,
    )


def _version(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"codex-host {__version__}")
        context.exit()


class _Codex(click.Group):
    """Finds commands by their words; see the module."""

    @cached_property
    def _plugins(self) -> Plugins:
        return Plugins()

    def list_commands(self, ctx: click.Context) -> list[str]:
        words = {*HOST_COMMANDS, *self._plugins.names("frontend")}
        return sorted(words | {name.partition(".")[0] for name in self._plugins.names("command")})

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, self._help_line(name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _help_line(self, name: str) -> str:
        if name in HOST_COMMANDS:
            return HOST_COMMANDS[name]
        for kind in ("frontend", "command"):
            for full in self._plugins.names(kind):
                if full.partition(".")[0] == name:
                    return summary(self._plugins.entry(kind, full))
        return ""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in HOST_COMMANDS:
            command: click.Command = importlib.import_module(f"codex_host._commands.{cmd_name}").command
            return command
        if cmd_name in self._plugins.names("frontend"):
            from codex_host._frontends import frontend_command

            return frontend_command(self._plugins, cmd_name)
        if cmd_name in self._plugins.names("command"):
            return self._plugins.part("command", cmd_name).part  # type: ignore[no-any-return]
        nested = [name for name in self._plugins.names("command") if name.startswith(f"{cmd_name}.")]
        return _Nested(self._plugins, cmd_name, nested) if nested else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word, rest = args[0], args[1:]
        if not word:
            from codex_host._frontends import default_frontend

            word = default_frontend(self._plugins)
        command = self.get_command(ctx, word)
        if command is None:
            near = difflib.get_close_matches(word, self.list_commands(ctx), 1)
            hint = f"did you mean {near[0]!r}?" if near else "see `codex --help`"
            ctx.fail(f"no command called {word!r}; {hint} A prompt of one word goes after `--`, or to `codex exec`.")
        if ctx.obj is None:
            from codex_host._frontends import PluginCommandContext

            ctx.obj = PluginCommandContext()
        return word, command, rest


class _Nested(click.Group):
    """Commands whose names share the word before a dot; several distributions may add to it."""

    def __init__(self, plugins: Plugins, name: str, full_names: list[str]) -> None:
        super().__init__(name)
        self._plugins = plugins
        self._full_names = {full.partition(".")[2]: full for full in full_names}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._full_names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        full = self._full_names.get(cmd_name)
        try:
            return None if full is None else self._plugins.part("command", full).part
        except PluginError as error:
            ctx.fail(str(error))
