"""What the config layers are made of: files, `-c`, environment variables, profiles and a trusted project's own file."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from codex_host.config import ALIASES, ENVIRONMENT, KEYS, PROFILE_KEYS, ConfigKey
from codex_host.errors import ConfigError

__all__ = [
    "BY_NAME",
    "Layer",
    "assigned",
    "from_environment",
    "keys_of",
    "nested",
    "of_profile",
    "of_project",
    "profiles",
    "read",
    "settings",
]

BY_NAME: Mapping[str, ConfigKey] = {key.name: key for key in (*KEYS, *PROFILE_KEYS)}
"""Every key by its dotted name."""

_TABLES = {name.partition(".")[0] for name in BY_NAME if "." in name}


def _no_table(value: Any, base: Path) -> Any:
    raise ValueError(f"expected a table, got {value!r}")


@dataclass(frozen=True, slots=True)
class Layer:
    """Values from one place. `source` is how errors name it; `base` is what relative paths in it are relative to.

    `text` is the TOML file that they come from, if any, and `prefix` the table of it that they are.
    """

    source: str
    values: Mapping[str, Any]
    base: Path
    text: str = ""
    prefix: tuple[str, ...] = ()

    def where(self, *path: str) -> str:
        """The source of one of the values, with the line in its file."""
        if not self.text:
            return self.source
        from codex_host._toml_lines import line_of  # wanted by errors, warnings and `codex config` only

        short = [(*self.prefix, name) for name, target in ALIASES.items() if target == path]
        line = line_of(self.text, *short, (*self.prefix, *path))
        return f"{self.source}:{line}" if line else self.source

    def convert(self, key: ConfigKey, path: Sequence[str], value: Any) -> Any:
        """One value as its key wants it. Raises ConfigError that names place, key and what was expected."""
        try:
            return key.convert(value, self.base)
        except ValueError as error:
            raise ConfigError(f"{self.where(*path)}: {'.'.join(path)}: {error}") from None

    def without(self, *names: str) -> Layer:
        """The same layer without some keys of its top level."""
        return replace(self, values={name: value for name, value in self.values.items() if name not in names})


def settings(values: Mapping[str, Any]) -> Iterator[tuple[ConfigKey | None, tuple[str, ...], Any]]:
    """Every setting of a layer: its key (None: unknown), its path and its value."""
    for name, value in values.items():
        if name not in _TABLES:
            yield BY_NAME.get(name) if "." not in name else None, (name,), value
        elif not isinstance(value, Mapping):
            yield ConfigKey(name, _no_table, ""), (name,), value
        else:
            for below, inner in value.items():
                yield BY_NAME.get(f"{name}.{below}"), (name, below), inner


def read(file: Path, base: Path) -> Layer:
    """The layer of a file, empty if there is none. Raises ConfigError."""
    try:
        text = file.read_text("utf-8-sig")
    except FileNotFoundError:
        return Layer(str(file), {}, base)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from None
    return Layer(str(file), _parse(text, str(file)), base, text)


def _parse(text: str, source: str) -> dict[str, Any]:
    """Parse TOML, which only a run with a config file or `-c` pays for."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        values: dict[str, Any] = tomllib.loads(text)
        return values
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source} is not valid TOML: {error}") from None


def assigned(assignments: Sequence[str]) -> dict[str, Any]:
    """The texts of `-c`: a dotted path, then a TOML value, or a plain text where it is none. Raises ConfigError."""
    values: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        keys = keys_of(path.strip())
        if not equals or not all(keys):
            raise ConfigError(f"-c {assignment}: expected KEY=VALUE, for example -c model=o3")
        table = values
        for key in keys[:-1]:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise ConfigError(f"-c {assignment}: {key} has a value already and is no table")
        table[keys[-1]] = _value(text)
    return values


def keys_of(text: str) -> list[str]:
    """A dotted path as its keys; those with a dot of their own are quoted, as in TOML. An empty key is an error."""
    if '"' not in text and "'" not in text:
        return text.split(".")
    try:
        table: Any = _parse(f"{text} = 0", "-c")
    except ConfigError:
        return [""]
    keys = []
    while isinstance(table, dict):
        ((key, table),) = table.items()
        keys.append(key)
    return keys


def _value(text: str) -> Any:
    try:
        return _parse(f"value = {text}", "-c")["value"]
    except ConfigError:
        return text


def from_environment(environ: Mapping[str, str], base: Path) -> Iterator[Layer]:
    """One layer for each variable that is set. Raises ConfigError."""
    for name, (path, convert) in ENVIRONMENT.items():
        text = environ.get(name, "").strip()
        if text:
            try:
                yield Layer(name, nested(path, convert(text)), base)
            except ValueError as error:
                raise ConfigError(f"{name}: {error}") from None


def nested(path: Sequence[str], value: Any) -> dict[str, Any]:
    """Tables within tables that hold one value."""
    for name in reversed(path):
        value = {name: value}
    return dict(value)


def of_profile(flag: str | None, user: Layer, typed: Layer) -> list[Layer]:
    """The layers of the chosen profile: it may stand in the user's file, in `-c` or in both. Raises ConfigError."""
    chosen = flag
    for layer in (typed, user):
        if chosen is None and "profile" in layer.values:
            chosen = layer.convert(BY_NAME["profile"], ["profile"], layer.values["profile"])
    if chosen is None:
        return []
    sets = [profiles(layer) for layer in (user, typed)]
    if not any(chosen in known for known in sets):
        names = ", ".join(dict.fromkeys([*sets[0], *sets[1]])) or "none"
        raise ConfigError(f"no profile called {chosen!r} in {user.source}; there are: {names}")
    return [known[chosen] for known in sets if chosen in known]


def profiles(layer: Layer) -> dict[str, Layer]:
    """The profiles in a layer, by name."""
    tables = layer.values.get("profiles")
    return {
        name: Layer(f"profile {name!r} in {layer.source}", values, layer.base, layer.text, ("profiles", name))
        for name, values in (tables.items() if isinstance(tables, Mapping) else ())
        if isinstance(values, Mapping)
    }


def of_project(cwd: Path, home: Path) -> tuple[list[Layer], list[str]]:
    """The layer of the project's own file, if the user trusts the project, and what to tell of it."""
    from codex_host._trust import is_trusted, project_file, project_root

    file = project_file(cwd, home)
    if file is None:
        return [], []
    root = project_root(cwd)
    try:
        if not is_trusted(home, root):
            import shlex

            way = f"to read it from now on: codex config trust {shlex.quote(str(root))}"
            return [], [f"{file} is not read, since you have not said that you trust its project; {way}"]
    except ConfigError as error:
        return [], [f"{file} is not read: {error}"]
    layer = read(file, file.parent.parent)
    known = {path[0]: key.project for key, path, _ in settings(layer.values) if key is not None}
    barred = [name for name, allowed in known.items() if not allowed]
    told = [f"{layer.where(name)}: {name!r} is ignored: only you can set it, not a project" for name in barred]
    return [layer.without(*barred)], told
