"""The lazy click group: names and help lines without imports, and a module only for the word that is typed."""

from __future__ import annotations

import difflib
import importlib
from functools import cached_property
from typing import TYPE_CHECKING

import click

from codex_host import __version__
from codex_host._plugins import Plugins, summary
from codex_host.errors import PluginError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["HOST_COMMANDS", "group"]

HOST_COMMANDS = {
    "config": "Look at the settings, find mistakes in them, and trust a project's own.",
    "models": "List the models that a provider offers.",
    "plugins": "List the installed plugins, and find out about one.",
    "sandbox": "Run a command in the sandbox.",
    "debug": "The sandbox commands under their old names.",
}
"""The host's own words, with their help lines; each is a module of `codex_host._commands`."""


def group() -> click.Group:
    """The command `codex`."""
    return _Codex(
        "codex",
        help="A coding agent for the terminal. `codex exec PROMPT` works without asking; see `codex exec --help`.",
        context_settings={"help_option_names": ["-h", "--help"]},
        params=[
            click.Option(["-V", "--version"], is_flag=True, is_eager=True, expose_value=False, callback=_version),
            click.Option(["--frontend"], metavar="NAME", help="Start this frontend; what follows goes to it."),
        ],
        no_args_is_help=False,
    )


def _version(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"codex-host {__version__}")
        context.exit()


class _Words(click.Group):
    """A group that knows the help lines of its commands without making them, as click itself would."""

    def help_line(self, word: str) -> str:
        """What stands beside the word in a list; nothing unless a subclass knows better."""
        return ""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(word, self.help_line(word)) for word in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        words = [word for word in self.list_commands(ctx) if word.startswith(incomplete)]
        found = [CompletionItem(word, help=self.help_line(word)) for word in words]
        return found + click.Command.shell_complete(self, ctx, incomplete)


class _Codex(_Words):
    """Finds commands by their words; see the module."""

    @cached_property
    def _plugins(self) -> Plugins:
        return Plugins()

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*HOST_COMMANDS, *self._plugins.names("frontend"), *_words_after(self._plugins, "")})

    def help_line(self, word: str) -> str:
        if word in HOST_COMMANDS:
            return HOST_COMMANDS[word]
        kind = "frontend" if word in self._plugins.names("frontend") else "command"
        return _help_line(self._plugins, kind, word)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in HOST_COMMANDS:
            command: click.Command = importlib.import_module(f"codex_host._commands.{cmd_name}").command
            return command
        if cmd_name in self._plugins.names("frontend"):
            from codex_host._frontends import frontend_command

            return frontend_command(self._plugins, cmd_name)
        return _plugin_command(self._plugins, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from codex_host._frontends import PluginCommandContext, default_frontend, frontend_command

        word, rest = args[0], args[1:]
        ctx.obj = ctx.obj or PluginCommandContext()
        if not word:
            name = ctx.params["frontend"] or default_frontend(self._plugins)
            return name, frontend_command(self._plugins, name), rest
        command = self.get_command(ctx, word)
        if command is None:
            near = difflib.get_close_matches(word, self.list_commands(ctx), 1)
            hint = f"did you mean {near[0]!r}?" if near else "see `codex --help`."
            ctx.fail(f"no command called {word!r}; {hint} A prompt of one word goes after `--`, or to `codex exec`.")
        return word, command, rest


class _Nested(_Words):
    """Commands whose names begin with the same words before a dot; several distributions may add to them."""

    def __init__(self, plugins: Plugins, name: str) -> None:
        super().__init__(name.rpartition(".")[2])
        self._plugins = plugins
        self._prefix = f"{name}."

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_words_after(self._plugins, self._prefix))

    def help_line(self, word: str) -> str:
        return _help_line(self._plugins, "command", self._prefix + word)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _plugin_command(self._plugins, self._prefix + cmd_name)


def _words_after(plugins: Plugins, prefix: str) -> set[str]:
    """The next word of each command of a plugin whose name begins so."""
    names = (name.removeprefix(prefix) for name in plugins.names("command") if name.startswith(prefix))
    return {name.partition(".")[0] for name in names}


def _plugin_command(plugins: Plugins, name: str) -> click.Command | None:
    """The command of that name, or the group of those below it; None if there is neither. Raises PluginError."""
    if name in plugins.names("command"):
        command: click.Command = plugins.part("command", name).part
        return command
    return _Nested(plugins, name) if _words_after(plugins, f"{name}.") else None


def _help_line(plugins: Plugins, kind: str, name: str) -> str:
    """The summary of the distribution that has this word, else of the first that has one below it."""
    names = plugins.names(kind)
    full = name if name in names else next(other for other in names if other.startswith(f"{name}."))
    try:
        return summary(plugins.entry(kind, full))
    except PluginError as error:  # two have it; whoever types the word is told to choose
        return f"({error})"
