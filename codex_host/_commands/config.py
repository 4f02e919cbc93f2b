"""`codex config`: where settings come from, what is wrong with them, and which projects may have some of their own."""

from __future__ import annotations

import json
import operator
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from codex_host import programs
from codex_host._layers import Layers, Origin, codex_home, current_folder, load, nearest
from codex_host._sources import BY_NAME, keys_of
from codex_host._trust import project_root, set_trusted, trusted
from codex_host.config import ALIASES, Config
from codex_host.errors import ConfigError, UsageError
from codex_host.permissions import Permissions
from codex_host.text import neutralise

__all__ = ["command"]

HEAD = """\
# Settings of Codex. Each line that begins with # is a comment; `codex config check` looks for mistakes.
# Keys of the top level stand above the first [table].

# model = "o4-mini"
# model_provider = "openai"
# approval_policy = "unless-allow-listed"    # or "on-failure", "never"
# sandbox_mode = "read-only"                 # or "workspace-write", "danger-full-access"

# A provider of your own:
# [model_providers.mine]
# name = "Mine"
# base_url = "http://localhost:8000/v1"
# env_key = "MY_API_KEY"

# A set of values for `codex --profile fast`:
# [profiles.fast]
# model = "gpt-4.1-mini"
"""
"""What `codex config edit` begins a new file with."""


@click.group("config", help="Look at the settings, find mistakes in them, and trust a project's own.")
def command() -> None:
    """The group; its commands do the work."""


def _say(text: str) -> None:
    click.echo(neutralise(text))


@command.command("path", help="Print where config.toml is, or would be.")
def path() -> None:
    """One line, for scripts."""
    click.echo(codex_home(os.environ) / "config.toml")


@command.command("check", help="Name every mistake in the settings; exit code 2.")
@click.option("-C", "--cd", "cwd", metavar="DIR", help="The folder to work in, whose project may have settings.")
def check(cwd: str | None) -> int:
    """Print one line for each finding, with its file and line."""
    home = codex_home(os.environ)
    return _checked(home, current_folder() / (cwd or "."))


def _checked(home: Path, cwd: Path) -> int:
    from codex_host._commands._config_check import Check

    found = Check(home, os.environ, cwd)
    for line in found.wrong:
        _say(line)
    for line in found.notes:
        _say(f"note: {line}")
    file = home / "config.toml"
    if not found.wrong:
        _say(f"{file}: nothing is wrong" if file.exists() else f"{file} does not exist: the defaults hold")
    return 2 if found.wrong else 0


@command.command("edit", help="Open config.toml in VISUAL or EDITOR, then check it.")
def edit() -> int:
    """Make the file if it is missing. The exit code is the editor's, else that of `codex config check`."""
    home = codex_home(os.environ)
    file = home / "config.toml"
    editor = os.environ.get("VISUAL", "").strip() or os.environ.get("EDITOR", "").strip()
    if not editor:
        raise UsageError(f"no editor is named; set VISUAL or EDITOR to yours, or open {file} yourself")
    try:
        argv = shlex.split(editor)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not file.exists():
            with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as new:
                new.write(HEAD)
    except ValueError as error:
        raise UsageError(f"VISUAL or EDITOR is {editor!r}, which cannot be read as a command: {error}") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be made: {error.strerror}") from None
    code = programs.run_attended([*argv, str(file)])
    if code:
        return code if code > 0 else 128 - code
    return _checked(home, current_folder())


@command.command("trust", help="Read a project's own .codex/config.toml.")
@click.argument("folder", metavar="[DIR]", default=".")
@click.option("--remove", is_flag=True, help="Read it no longer.")
def trust(folder: str, remove: bool) -> None:
    """The project is the git work tree around DIR (by default this folder), else DIR itself.

    Its real path is kept in CODEX_HOME.
    """
    home = codex_home(os.environ)
    place = current_folder() / folder
    if remove and str(place.resolve()) in trusted(home):
        root = place.resolve()  # a folder that is gone has no work tree
    elif place.is_dir():
        root = project_root(place)
    else:
        raise UsageError(f"{place} is no folder")
    news = set_trusted(home, root, not remove)
    was = "is no longer trusted" if news else "was not trusted"
    _say(f"{root} {was if remove else 'is trusted now' if news else 'was trusted already'}")


@command.command("explain", help="Say what holds for KEY, from where, and over what.")
@click.argument("key")
@click.option("-p", "--profile", metavar="NAME", help="The profile of config.toml to use.")
@click.option("-c", "--config", "assignments", multiple=True, metavar="KEY=VALUE", help="Set a config value.")
@click.option("-C", "--cd", "cwd", metavar="DIR", help="The folder to work in, whose project may have settings.")
def explain(key: str, profile: str | None, assignments: Sequence[str], cwd: str | None) -> None:
    """KEY is a dotted path; a table is explained value by value."""
    keys = keys_of(key)
    tops = {name.partition(".")[0] for name in BY_NAME}
    if keys[0] not in tops or (len(keys) == 2 and _is_group(keys[0]) and key not in BY_NAME):
        near = nearest(key, {*BY_NAME, *tops})
        raise UsageError(f"no key is called {key!r}" + (f"; did you mean {near!r}?" if near else ""))
    place = current_folder() / (cwd or ".")
    layers = load(codex_home(os.environ), os.environ, {}, assignments, profile, place)
    for line in _explained(layers, keys):
        _say(line)
    for warning in layers.warnings:
        click.echo(neutralise(f"codex: {warning}"), err=True)


def _is_group(name: str) -> bool:
    return name not in BY_NAME


def _explained(layers: Layers, keys: Sequence[str]) -> Iterator[str]:
    origins = layers.origins(*keys)
    below = [name.split(".")[1] for name in BY_NAME if name.startswith(f"{keys[0]}.")] if len(keys) == 1 else []
    tables = [origin.value for origin in origins if isinstance(origin.value, Mapping)]
    names = dict.fromkeys([*below, *(name for table in tables for name in table)])
    if not names:
        yield from _one(layers, ".".join(map(_spelled_key, keys)), origins)
    for name in names:
        yield from _explained(layers, [*keys, name])


def _one(layers: Layers, name: str, origins: Sequence[Origin]) -> Iterator[str]:
    """A value with its origin and what it overrides, one line each."""
    default = _default(layers, name)
    if not origins:
        yield f"{name} = {_spelled(default)}" if default is not None else f"{name} is not set"
        if default is not None:
            yield "    the default"
        return
    value = origins[0].value
    if name in BY_NAME and BY_NAME[name].field == "permissions":
        value = layers.config.permissions.words()
    yield f"{name} = {_spelled(value)}"
    for word, origin in zip(["from", *["over"] * len(origins)], origins, strict=False):
        said = f": {origin.key} = {_spelled(origin.value)}" if word == "over" or origin.key != name else ""
        yield f"    {word} {origin.where}{said}"
    if default is not None:
        yield f"    over the default: {_spelled(default)}"


def _default(layers: Layers, name: str) -> Any:
    """What holds where no layer says anything; None for nothing."""
    if name not in BY_NAME or name in ALIASES or name in ("profile", "profiles"):
        return None
    value = operator.attrgetter(BY_NAME[name].field or name)(Config(home=layers.home))
    return value.words() if isinstance(value, Permissions) else value


def _spelled(value: Any) -> str:
    """A value as config.toml spells it."""
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_spelled_key(key)} = {_spelled(inner)}" for key, inner in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_spelled, value))}]"
    if isinstance(value, (bool, str, Path)):
        return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
    return str(value)


def _spelled_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)
