"""`codex plugins`: what is installed, and what becomes of one name."""

from __future__ import annotations

from collections.abc import Mapping

import click

from codex_host._group import HOST_COMMANDS
from codex_host._plugins import GENERATION, HOOKS, Entry, Plugins, installed, summary

__all__ = ["command"]


@click.group("plugins", help="List the installed plugins, and find out about one.")
def command() -> None:
    """The group; its commands do the work."""


@command.command("list", help="List every part that is installed, without importing any.")
def list_plugins() -> None:
    """Print one line for each name: kind, name, distribution, version, what keeps it from use, and what it is."""
    entries = sorted(installed(), key=lambda entry: (entry.kind, entry.name, entry.distribution))
    if not entries:
        click.echo("no plugins are installed; pip install the ones you want, for example codex-provider-openai")
    claims: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        if entry.generation == GENERATION:
            claims.setdefault((entry.kind, entry.name), []).append(entry)
    rows = [(entry.kind, entry.name, entry.distribution, entry.version) for entry in entries]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row, entry in zip(rows, entries, strict=True):
        obstacle = _obstacle(entry, claims)
        note = " ".join([*([f"({obstacle})"] if obstacle else []), summary(entry)])
        click.echo("  ".join([*(word.ljust(width) for word, width in zip(row, widths, strict=True)), note]))


def _obstacle(entry: Entry, claims: Mapping[tuple[str, str], list[Entry]]) -> str:
    """What keeps an entry from being used; empty if nothing does. `claims` are those of this generation."""
    if entry.kind not in HOOKS:
        return "unknown kind, ignored"
    if entry.generation != GENERATION:
        return f"for plugin interface v{entry.generation}, ignored"
    rivals = [other.origin for other in claims[entry.kind, entry.name] if other is not entry]
    if rivals:
        return f"claimed by {' and '.join(rivals)} too: uninstall or disable one"
    if entry.kind not in ("frontend", "command"):
        return ""
    hidden = _hidden(entry, claims)
    way = f", use --frontend {entry.name}" if entry.kind == "frontend" else ", so this one cannot be reached"
    return hidden + way if hidden else ""


def _hidden(entry: Entry, claims: Mapping[tuple[str, str], list[Entry]]) -> str:
    """What the entry's word on the command line means instead; empty if it means the entry."""
    words = entry.name.split(".")
    if words[0] in HOST_COMMANDS:
        return f"`codex {words[0]}` is the host's own"
    if entry.kind == "command" and ("frontend", words[0]) in claims:
        return f"`codex {words[0]}` is a frontend"
    above = (".".join(words[:count]) for count in range(1, len(words)))
    taken = next((name for name in above if ("command", name) in claims), None)
    return f"`codex {taken.replace('.', ' ')}` is a command itself" if taken else ""


@command.command("why", help="Say where a part comes from, and whether it can be made.")
@click.argument("kind", type=click.Choice(sorted(HOOKS)))
@click.argument("name")
@click.pass_context
def why(context: click.Context, kind: str, name: str) -> None:
    """Import the one plugin that claims the name and make its part. Raises PluginError that says what is wrong."""
    plugins = Plugins(disabled=context.obj.config.disabled_plugins)
    entry = plugins.entry(kind, name)
    click.echo(f"{kind} {name}: claimed by {entry.origin}, module {entry.module}, metadata in {entry.metadata}")
    if kind in ("frontend", "command"):
        found = plugins.optional_part(kind, name)
    else:
        found = context.obj.parts.optional(kind, name)
    if found is None:
        click.echo("it can be made, but with this configuration it has nothing to do")
    else:
        made = type(found.part)
        click.echo(f"it makes a {made.__module__}.{made.__qualname__}")
