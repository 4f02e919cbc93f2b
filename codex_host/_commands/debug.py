"""`codex debug landlock|seatbelt`: the original's words for `codex sandbox run` with a fixed backend."""

from __future__ import annotations

import click

from codex_host._commands.sandbox import run_command

__all__ = ["command"]


@click.group("debug", help="The sandbox commands under their old names.")
def command() -> None:
    """The group; its commands do the work."""


for _backend in ("landlock", "seatbelt"):
    command.add_command(run_command(_backend, _backend))
