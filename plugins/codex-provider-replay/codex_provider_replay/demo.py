"""The command `codex demo`: a whole session on a machine without a key."""

from __future__ import annotations

import click

from codex_host.hookspecs import hookimpl

__all__ = ["codex_command"]


@hookimpl
def codex_command(name: str) -> click.Command | None:
    """Make the command "demo"."""
    return _command if name == "demo" else None


@click.command("demo")
@click.option("--keep", is_flag=True, help="Leave the temporary folder with the repository where it is.")
@click.pass_context
def _command(context: click.Context, keep: bool) -> int:
    """Watch codex repair a failing test, without a key and without a network.

    Plays a recorded session: what the model says comes from a file, everything else is real. A small
    repository with a failing test is made in a temporary folder; the commands run in the sandbox, which
    refuses what it has to; the patch is applied and the test run again. Your own settings and history are
    neither used nor touched.

    Ends with the exit code of the session, 1 if the test does not pass at the end, 5 if no sandbox works here.
    """
    from codex_provider_replay._demo import show

    root = context.find_root().command

    def type_words(*words: str) -> int:
        ended = root.main(list(words), prog_name="codex", standalone_mode=False)
        return ended if isinstance(ended, int) else 0

    return show(type_words, keep=keep)
