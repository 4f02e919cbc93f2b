"""`codex approvals why`: what a policy says about a command, and why."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from codex_approval_standard._known_safe import judge
from codex_host.actions import Ask, Exec, Refuse, ReviewContext, Run, Verdict
from codex_host.errors import UsageError
from codex_host.hookspecs import hookimpl
from codex_host.permissions import resolve
from codex_host.text import visible

if TYPE_CHECKING:
    import click

    from codex_host.parts import CommandContext

__all__ = ["codex_command"]


@hookimpl
def codex_command(name: str) -> click.Command | None:
    """The command `approvals why`."""
    if name != "approvals.why":
        return None
    import click  # only where the command is typed

    return click.Command(
        "why",
        params=[
            click.Argument(["command"], nargs=-1, metavar="[--] [COMMAND]..."),
            click.Option(["-c", "--script"], metavar="TEXT", help="Take this script, as `bash -lc` would run it."),
            click.Option(["--policy"], metavar="NAME", help="Ask this policy instead of the configured one."),
        ],
        callback=click.pass_obj(_why),
        context_settings={"allow_interspersed_args": False},
        help="Say what would happen if the model wanted to run COMMAND here, and which rule decides.",
    )


def _why(context: CommandContext, command: tuple[str, ...], script: str | None, policy: str | None) -> None:
    import click

    if bool(command) == (script is not None):
        raise UsageError("give a command after `--`, or a script with `--script`")
    argv = command if script is None else ("bash", "-lc", script)
    name = policy or context.config.approval_policy
    cwd = Path.cwd()
    fence = resolve(context.config.permissions, cwd, Path(tempfile.gettempdir()))
    part = context.parts.approval_policy(name)
    verdict = part.review(Exec(argv, cwd), ReviewContext(fence, sandboxed=not fence.open))
    granted = ", ".join(context.config.permissions.words()) or "nothing"
    rows = [
        ("policy", f"{name}, in {cwd}"),
        ("granted", f"{granted} ({'no sandbox' if fence.open else 'in the sandbox'})"),
        *_parse(argv, sandboxed=not fence.open),
        ("verdict", _spoken(verdict)),
        ("rule", verdict.reason),
    ]
    for label, text in rows:
        click.echo(f"{label:<9}{visible(text)}")


def _parse(argv: tuple[str, ...], *, sandboxed: bool) -> list[tuple[str, str]]:
    """The commands that are found in this one, and what is known of each."""
    judged = judge(argv, sandboxed=sandboxed)
    rows = [(shlex.join(one.argv), one.objection or "known to only read") for one in judged]
    width = min(max(len(words) for words, _ in rows), 40)
    labels = ["commands", *[""] * (len(rows) - 1)]
    return [(label, f"{words:<{width}}  {known}") for label, (words, known) in zip(labels, rows, strict=True)]


def _spoken(verdict: Verdict) -> str:
    match verdict:
        case Run():
            return "runs without a question"
        case Ask():
            return "you are asked; with nobody to ask it is refused"
        case Refuse():
            return "is refused"
