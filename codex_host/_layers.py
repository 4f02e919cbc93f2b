"""The config layers, merged once and converted once, each value knowing where it came from.

From the lowest to the highest: built-in defaults, environment variables, the user's config.toml, the file of a trusted
project, the selected profile, `-c key=value`, flags, and what the frontend sets for itself. Tables are merged field by
field; everything else, lists too, is replaced whole. `sandbox_permissions` and `sandbox_mode` are two spellings of one
setting, so the higher of either hides both below.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from codex_host._sources import (
    BY_NAME,
    Layer,
    assigned,
    from_environment,
    nested,
    of_profile,
    of_project,
    read,
    settings,
)
from codex_host.config import (
    ALIASES,
    CHOSEN,
    ENVIRONMENT,
    MERGED,
    PROFILE_KEYS,
    Config,
    EnvironmentPolicy,
    WorkspaceWrite,
)
from codex_host.errors import ConfigError, UsageError

__all__ = [
    "Layer",
    "Layers",
    "Origin",
    "codex_home",
    "current_folder",
    "load",
    "nearest",
    "spelled_once",
    "unknown_keys",
]

_SANDBOX = ("sandbox_permissions", "sandbox_mode")
_PROFILE = tuple(key.name for key in PROFILE_KEYS)
_GROUPS = {"sandbox_workspace_write": WorkspaceWrite, "shell_environment_policy": EnvironmentPolicy}


@dataclass(frozen=True, slots=True)
class Origin:
    """A value as one layer spells it, under which key, and where that stands."""

    key: str
    value: Any
    where: str


@dataclass(frozen=True, slots=True)
class Layers:
    """All layers of a run, the lowest first, and what they make. `warnings` are for the user, once."""

    home: Path
    layers: tuple[Layer, ...]
    warnings: tuple[str, ...] = ()
    config: Config = field(init=False)
    _plain: tuple[Layer, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_plain", tuple(_plain(self.layers)))
        object.__setattr__(self, "config", _converted(self.home, self._plain))

    def over(self, layer: Layer) -> Layers:
        """The same with one more layer on top."""
        return replace(self, layers=(*self.layers, layer)) if layer.values else self

    def origins(self, *path: str) -> tuple[Origin, ...]:
        """Where a value was set, the highest layer first: that one holds, the others are overridden."""
        spellings = [(name,) for name in _SANDBOX] if path[0] in _SANDBOX else [ALIASES.get(path[0], path)]
        found = []
        for layer in reversed(self._plain):
            for spelling in spellings:
                value: Any = layer.values
                for name in spelling:
                    value = value.get(name) if isinstance(value, Mapping) else None
                if value is not None:  # TOML has no null
                    found.append(Origin(".".join(spelling), value, layer.where(*spelling)))
        return tuple(found)


def codex_home(environ: Mapping[str, str]) -> Path:
    """The folder of config and state: CODEX_HOME, which must exist if it is set, else `~/.codex`."""
    named = environ.get("CODEX_HOME")
    if named:
        home = Path(named).absolute()
        if not home.is_dir():
            raise ConfigError(f"CODEX_HOME is set to {home}, which is no folder; create it or unset the variable")
        return home.resolve()
    try:
        return Path.home() / ".codex"
    except RuntimeError:
        raise ConfigError("there is no home folder to keep settings in; set CODEX_HOME to a folder") from None


def current_folder() -> Path:
    """The folder that the process is in, which somebody may have removed."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise UsageError("the current folder does not exist any more; change to one that does") from None


def load(
    home: Path,
    environ: Mapping[str, str],
    flags: Mapping[str, Any],
    assignments: Sequence[str] = (),
    profile: str | None = None,
    cwd: Path | None = None,
) -> Layers:
    """Read and merge what configures a run.

    `flags` are config values set by command-line options, `assignments` the texts of `-c`, `profile` the flag's value
    or None. `cwd` is the folder to work in, the current one if None: its project may have a file of its own.
    Raises ConfigError.
    """
    here = current_folder()
    user = read(home / "config.toml", home)
    typed = Layer("-c", assigned(assignments), here)
    project, told = of_project(cwd or here, home)
    layers = [
        *from_environment(environ, here),
        user,
        *project,
        *of_profile(profile, user, typed),
        typed,
        Layer("the command line", {**flags, **({} if profile is None else {"profile": profile})}, here),
    ]
    present = tuple(layer for layer in layers if layer.values)
    return Layers(home, present, (*told, *(warning for layer in present for warning in unknown_keys(layer))))


def unknown_keys(layer: Layer) -> Iterator[str]:
    """What to say of each key of a layer that nobody knows."""
    for key, path, _ in settings(layer.values):
        if key is None or (layer.prefix and path[0] in _PROFILE):
            yield f"{layer.where(*path)}: unknown key {'.'.join(path)!r} is ignored{_hint(path)}"


def _hint(path: tuple[str, ...]) -> str:
    name = path[-1]
    if path[0] in _PROFILE:
        return "; it stands at the top level of config.toml only"
    if len(path) > 1 and name in BY_NAME:
        return f"; keys of the top level, such as {name!r}, stand above the first [table]"
    table = "".join(f"{part}." for part in path[:-1])
    near = nearest(name, {key.removeprefix(table).partition(".")[0] for key in BY_NAME if key.startswith(table)})
    return f"; did you mean {table + near!r}?" if near else ""


def nearest(word: str, words: Iterable[str]) -> str:
    """The one of the words that was probably meant, empty if none looks like it."""
    import difflib  # wanted only here, and it costs more than reading a config file

    return next(iter(difflib.get_close_matches(word, sorted(words), 1)), "")


def _plain(layers: Sequence[Layer]) -> Iterator[Layer]:
    """The same layers without short names: those keys are spelled out where they stand."""
    named = [layer.values.get("model_provider") for layer in reversed(layers)]
    chosen = next((name for name in named if isinstance(name, str)), Config(home=Path()).model_provider)
    for layer in layers:
        values = dict(layer.values)
        for name, path in ALIASES.items():
            if name in values:
                values = _merged(values, nested(path, layer.convert(BY_NAME[name], [name], values.pop(name))))
        if layer.source in ENVIRONMENT and "model_providers" in values:
            values["model_providers"] = {chosen: values["model_providers"][CHOSEN]}
        yield replace(layer, values=values)


def _converted(home: Path, layers: Sequence[Layer]) -> Config:
    """All layers as one value. Raises ConfigError for the first that is wrong."""
    fields: dict[str, Any] = {}
    groups: dict[str, dict[str, Any]] = {name: {} for name in _GROUPS}
    is_workspace = False
    for layer in layers:
        spelled_once(layer)
        for key, path, raw in settings(layer.values):
            if key is None or path[0] in _PROFILE:
                continue
            value = layer.convert(key, path, raw)
            if key.name in _SANDBOX:
                is_workspace = raw == "workspace-write"
            group, _, name = key.name.partition(".")
            target, name = (groups[group], name) if group in groups else (fields, key.field or key.name)
            target[name] = _merged(target.get(name, {}), value) if key.name in MERGED else value
    made = {name: kind(**groups[name]) for name, kind in _GROUPS.items()}
    config = Config(home=home, **fields, **made)
    return replace(config, permissions=config.sandbox_workspace_write.permissions()) if is_workspace else config


def spelled_once(layer: Layer) -> None:
    """Raises ConfigError if a layer sets one thing in two ways."""
    if all(key in layer.values for key in _SANDBOX):
        where = layer.where("sandbox_mode")
        raise ConfigError(f"{where}: sandbox_permissions and sandbox_mode exclude each other; keep one")


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two tables as one, field by field, at every depth."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if both else value
    return merged
