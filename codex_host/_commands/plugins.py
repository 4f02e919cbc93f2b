"""`codex plugins`: what is installed, and what becomes of one name."""

from __future__ import annotations

import click

from codex_host._plugins import GENERATION, HOOKS, Plugins, installed, summary

__all__ = ["command"]


@click.group("plugins", help="List the installed plugins, and find out about one.")
def command() -> None:
    """The group; its commands do the work."""


@command.command("list", help="List every part that is installed, without importing any.")
def list_plugins() -> None:
    """Print one line for each name: kind, name, distribution, version, what it is."""
    rows = []
    for entry in sorted(installed(), key=lambda entry: (entry.kind, entry.name)):
        note = summary(entry)
        if entry.kind not in HOOKS:
            note = f"(unknown kind, ignored) {note}"
        elif entry.generation != GENERATION:
            note = f"(for plugin interface v{entry.generation}, ignored) {note}"
        rows.append((entry.kind, entry.name, entry.distribution, entry.version, note))
    if not rows:
        click.echo("no plugins are installed; pip install the ones you want, for example codex-provider-openai")
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
    for row in rows:
        click.echo("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=False)) + f"  {row[4]}")


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
