"""Reference pages made from live objects: exit codes, configuration keys, the command line.

Only the distributions of this repository count, whatever else is installed, and no terminal's width matters.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from codex_host import _layers, errors
from codex_host._group import HOST_COMMANDS, group
from codex_host._plugins import Plugins, installed
from codex_host.config import ALIASES, CHOSEN, ENVIRONMENT, KEYS, PROFILE_KEYS, Config
from codex_host.parts import Provider
from codex_host.permissions import FULL_AUTO, PRESETS, Permissions

DOCS = Path(__file__).resolve().parent
PLUGINS = DOCS.parent / "plugins"
WIDTH = 100

MEANINGS = {
    "disk-full-read-access": "commands read every file, except what is hidden (the folder of Codex itself)",
    "disk-full-write-access": "commands write everywhere",
    "disk-write-cwd": "commands write to the session's working folder and below",
    "disk-write-platform-user-temp-folder": "commands write to TMPDIR: yours, or one made for the session",
    "disk-write-platform-global-temp-folder": "commands write to /tmp",
    "network-full-access": "commands reach the network",
}
"""What each word of `sandbox_permissions` grants."""


def exit_codes() -> str:
    """The tree of errors and the codes that they end a run with."""
    classes = [getattr(errors, name) for name in errors.__all__]
    classes = [cls for cls in classes if isinstance(cls, type) and not issubclass(cls, errors.ToolError)]
    rows = sorted([str(cls.exit_code), f"`{cls.__name__}`", _sentence(cls)] for cls in classes)
    sandbox = importlib.import_module("codex_host._commands.sandbox")
    return _template(
        "exit-codes",
        tree=(errors.__doc__ or "").strip(),
        table=_table(["Code", "Error", "Meaning"], rows),
        setup_failed=sandbox.SETUP_FAILED,
        not_executable=sandbox.NOT_EXECUTABLE,
        not_found=sandbox.NOT_FOUND,
    )


def config() -> str:
    """Every key of config.toml, with what it takes and its default."""
    keys = [[f"`{key.name}`", key.doc, _expected(key), _default(key)] for key in (*KEYS, *PROFILE_KEYS)]
    variables = [[f"`{name}`", f"`{'.'.join(path)}`"] for name, (path, _) in ENVIRONMENT.items()]
    known = set(Permissions.words(Permissions(True, True, True, True, True, True)))
    if known != MEANINGS.keys():
        raise ValueError(f"MEANINGS explains other permissions than there are: {known ^ MEANINGS.keys()}")
    words = [[f"`{word}`", meaning] for word, meaning in MEANINGS.items()]
    presets = [*PRESETS.items(), ("--full-auto", FULL_AUTO)]
    return _template(
        "config",
        layers=(_layers.__doc__ or "").partition("\n\n")[2].strip(),
        profile_keys=" and ".join(f"`{key.name}`" for key in PROFILE_KEYS),
        project_keys=", ".join(f"`{key.name}`" for key in KEYS if key.project),
        environment=_table(["Variable", "Setting"], variables).replace(CHOSEN, "NAME"),
        keys=_table(["Key", "Meaning", "Value", "Default"], keys),
        words=_table(["Word", "Grants"], words),
        presets=_table(["Preset", "Stands for"], ([f"`{name}`", _words(preset)] for name, preset in presets)),
        provider=_table(["Field", "Type", "Default"], _provider_fields()),
    )


def command_line() -> str:
    """The help texts of all commands."""
    ours = {folder.parent.name for folder in PLUGINS.glob("*/pyproject.toml")}
    strangers = {entry.distribution for entry in installed()} - ours
    codex = group()
    codex._plugins = Plugins(disabled=sorted(strangers))  # type: ignore[attr-defined]
    texts = [f"## {path}\n\n```text\n{text}\n```\n" for path, text in _helps(codex, None, "codex")]
    host = ", ".join(f"`{name}`" for name in HOST_COMMANDS)
    return _template("cli", commands="\n".join(texts).rstrip("\n"), host=host)


def _helps(command: click.Command, parent: click.Context | None, name: str) -> Iterator[tuple[str, str]]:
    settings = {**command.context_settings, "terminal_width": WIDTH}
    context = click.Context(command, parent=parent, info_name=name, **settings)
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for word in command.list_commands(context):
            nested = command.get_command(context, word)
            if nested is not None and not nested.hidden:
                yield from _helps(nested, context, word)


def _expected(key: Any) -> str:
    """What a key takes, in the words of the error that it answers a senseless value with."""
    try:
        key.convert(object(), Path("/"))
    except ValueError as error:
        text = str(error).removeprefix("expected ").partition(", got")[0]
        return text.replace("'", "`") if text.startswith("one of") else text
    return "any value"


def _default(key: Any) -> str:
    """A key's default, as config.toml would spell it; nothing where there is none."""
    if key.name in ALIASES or key in PROFILE_KEYS:
        return ""
    value = operator.attrgetter(key.field or key.name)(Config(home=Path()))
    if isinstance(value, Permissions):
        preset = next((name for name, preset in PRESETS.items() if preset == value), "")
        return f'`"{preset}"`' if key.name == "sandbox_mode" else f"`{json.dumps(value.words())}`"
    if value is None or isinstance(value, dict):
        return ""
    return f"`{json.dumps(value)}`"


def _words(permissions: Permissions) -> str:
    return ", ".join(f"`{word}`" for word in permissions.words())


def _provider_fields() -> Iterator[list[str]]:
    for field in dataclasses.fields(Provider):
        default = field.default
        text = "required" if field.default_factory is dataclasses.MISSING and default is dataclasses.MISSING else ""
        if default is not dataclasses.MISSING and default is not None:
            text = f'`"{default}"`' if isinstance(default, str) else f"`{default}`"
        kind = str(field.type).removesuffix(" | None")
        yield [f"`{field.name}`", {"str": "text", "int": "whole number"}.get(kind, "table of texts"), text]


def _sentence(cls: type) -> str:
    return " ".join((cls.__doc__ or "").split("\n\n")[0].split())


def _table(heads: list[str], rows: Any) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("|" + "|".join(f" {cell} " if cell else " " for cell in line) + "|" for line in lines)


def _template(name: str, **values: Any) -> str:
    """A page's hand-written text with the made pieces in it, each where `{{its name}}` stands."""
    text = (DOCS / "templates" / f"{name}.txt").read_text("utf-8")
    for key, value in values.items():
        text = text.replace("{{" + key + "}}", str(value))
    return text
