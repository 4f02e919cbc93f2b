"""Which commands are known to only read.

Known to be safe is a command that neither changes a file nor starts another program, whatever its other arguments
are. Where a program has few harmful options they are listed; where the harmless ones are easier to name (`find`,
`git branch`) those are listed instead, so that an option nobody thought of is asked for. A false alarm costs a
question, the opposite a file: in doubt there is an objection. A script for a shell is safe if it is plain
(`codex_approval_standard._script`) and all its commands are.

What the user's own set-up makes of a command is not looked at: programs earlier in the PATH, the shell's profile, what
the configuration makes git start. It stays inside the sandbox like the command itself; where none holds a command,
`git` is not known to only read, since a repository brings its own configuration, nor is what happens after a `cd`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from codex_approval_standard._script import Command, ScriptError, read

__all__ = ["Judgement", "judge", "objection"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """Why one command is not known to only read, for a person; the objection is None if it is known."""

    argv: tuple[str, ...]
    objection: str | None


def objection(argv: Sequence[str], *, sandboxed: bool = True) -> str | None:
    """Why a command, or one of those in its script, is not known to only read; None if all are known."""
    return next((judged.objection for judged in judge(argv, sandboxed=sandboxed) if judged.objection), None)


def judge(argv: Sequence[str], *, sandboxed: bool = True) -> tuple[Judgement, ...]:
    """What a command really runs, each with its judgement: the commands of a shell's plain script, else itself.

    `sandboxed` says whether something holds what they make other programs do.
    """
    match argv:
        case ["bash" | "sh", "-lc" | "-c", script]:
            try:
                commands = read(script)
            except ScriptError as error:
                return (Judgement(tuple(argv), str(error)),)
        case _:
            commands = (Command(tuple(argv)),)
    return tuple(Judgement(each.argv, _doubt(each) or (None if sandboxed else _unheld(each))) for each in commands)


def _unheld(command: Command) -> str | None:
    match command.argv:
        case ["git", *_]:
            return "`git` starts what the repository's configuration names, and no sandbox would hold that"
        case ["cd", *_]:
            return "`cd` leads to a folder that nobody has looked at, and no sandbox would hold what is run there"
    return None


def _doubt(command: Command) -> str | None:
    """The program must be a bare name: `/tmp/ls` or `./ls` can be anything."""
    if not command.argv:
        return "the command is empty"
    program, *arguments = command.argv
    examine = _PROGRAMS.get(program)
    if examine is None:
        return f"`{program}` is not on the list of commands that only read"
    return examine(arguments) or (_wildcard(command) if examine is not _anything else None)


def _wildcard(command: Command) -> str | None:
    # A file may be called `--pre=run`, but not one whose name begins like a path.
    for pattern in command.patterns:
        if not re.match(r"[\w./]", pattern, re.ASCII):
            return f"`{pattern}` may find a file whose name is an option of `{command.argv[0]}`"
    return None


def _anything(arguments: Sequence[str]) -> str | None:
    return None


def _ripgrep(arguments: Sequence[str]) -> str | None:
    # --pre, --hostname-bin and -z start other programs. Short options can stand together: -nz.
    for argument in arguments:
        if _means(argument, "--pre", "--hostname-bin", "--search-zip") or re.match("-[^-]*z", argument):
            return f"`rg {argument}` can start another program"
    return None


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FIND_TESTS = _words(
    "-name -iname -path -ipath -wholename -iwholename -regex -iregex -regextype -lname -ilname "
    "-type -xtype -size -empty -perm -readable -writable -executable -links -inum -samefile -fstype "
    "-newer -anewer -cnewer -newermt -mtime -mmin -atime -amin -ctime -cmin -daystart "
    "-user -group -uid -gid -nouser -nogroup -depth -d -maxdepth -mindepth -prune -quit -xdev -mount "
    "-follow -noleaf -H -L -P -E -true -false -not -a -and -o -or -print -print0 -printf -ls"
)
_FIND_VALUES = re.compile(r"-[0-9]+[a-zA-Z]?|-[ugoa]*[=+][rwxXst]+")  # as in -mtime -2, -perm -u=x


def _find(arguments: Sequence[str]) -> str | None:
    for argument in arguments:
        harmless = argument in _FIND_TESTS or _FIND_VALUES.fullmatch(argument)
        if argument.startswith("-") and not harmless:
            return f"`find {argument}` is not known to only read"
    return None


_SED_LINES = re.compile(r"[0-9]+(,[0-9]+)?p")


def _sed(arguments: Sequence[str]) -> str | None:
    match arguments:
        case ["-n", script, file] if _SED_LINES.fullmatch(script) and file and not file.startswith("-"):
            return None
    return "of `sed` only `sed -n N,Mp FILE` is known to only read"


def _git(arguments: Sequence[str]) -> str | None:
    match arguments:
        case ["branch", *rest]:
            return _git_branch(rest)
        case ["status" | "log" | "diff" | "show" as verb, *rest]:
            return _git_reading(verb, rest)
        case [verb, *_]:
            return f"`git {verb}` is not on the list of commands that only read"
    return "`git` alone is not on the list of commands that only read"


def _git_reading(verb: str, arguments: Sequence[str]) -> str | None:
    for argument in arguments:
        if _means(argument, "--output", "--output-directory") or argument.startswith("-o"):
            return f"`git {verb} {argument}` can write a file"
        if _means(argument, "--remerge-diff", "--diff-merges"):
            return f"`git {verb} {argument}` can put objects into the repository"
        if _means(argument, "--ext-diff", "--help") or _asks_for_signature(argument):
            return f"`git {verb} {argument}` can start another program"
    return None


_BRANCH_LISTS = _words("--list --contains --no-contains --merged --no-merged --points-at")
_BRANCH_SHOWS = _words(
    "-a --all -r --remotes -v -vv --verbose -i --ignore-case --show-current "
    "--color --no-color --column --no-column --no-abbrev"
)
_BRANCH_VALUES = _words("--contains --no-contains --merged --no-merged --points-at --sort --format --color --abbrev")


def _git_branch(arguments: Sequence[str]) -> str | None:
    # A name makes `git branch` create that branch, unless an option says that it is a pattern to list by.
    lists = any(argument.partition("=")[0] in _BRANCH_LISTS for argument in arguments)
    for argument in arguments:
        option, equals, _ = argument.partition("=")
        if not argument.startswith("-"):
            harmless = lists
        elif equals:
            harmless = option in _BRANCH_VALUES and not _asks_for_signature(argument)
        else:
            harmless = option in _BRANCH_LISTS | _BRANCH_SHOWS
        if not harmless:
            return f"`git branch {argument}` is not known to only list branches"
    return None


def _asks_for_signature(argument: str) -> bool:
    """Whether git would start gpg to answer this option."""
    return "signature" in argument or "%G" in argument


def _means(argument: str, *options: str) -> bool:
    """Whether an argument is one of these long options, also when it is abbreviated as git does and given
    with `=`.
    """
    word = argument.partition("=")[0]
    return len(word) > 2 and any(option.startswith(word) for option in options)


_PROGRAMS: dict[str, Callable[[Sequence[str]], str | None]] = {
    **dict.fromkeys(("cat", "cd", "echo", "grep", "head", "ls", "pwd", "tail", "wc", "which"), _anything),
    "find": _find,
    "git": _git,
    "rg": _ripgrep,
    "sed": _sed,
}
