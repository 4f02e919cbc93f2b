"""The config layers, merged once and converted once, each value knowing where it came from.

From the lowest to the highest: built-in defaults, environment defaults, the user's config.toml, the selected profile,
`-c key=value`, flags, and what the frontend sets for itself. Tables such as `[model_providers.NAME]` are merged field
by field; everything else is replaced whole. `sandbox_permissions` and `sandbox_mode` are two spellings of one setting,
so the higher of either hides both below.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from codex_host.config import KEYS, PROFILE_KEYS, Config
from codex_host.errors import ConfigError, UsageError

__all__ = ["Layer", "Layers", "codex_home", "current_folder", "load"]

_BY_NAME = {key.name: key for key in KEYS}
_SANDBOX = ("sandbox_permissions", "sandbox_mode")
_TABLES = ("model_providers", "mcp_servers", "plugins")


@dataclass(frozen=True, slots=True)
class Layer:
    """Values from one place. `source` is how errors name it; `base` is what relative paths in it are relative to."""

    source: str
    values: Mapping[str, Any]
    base: Path


@dataclass(frozen=True, slots=True)
class Layers:
    """All layers of a run, the lowest first, and what they make. `warnings` are for the user, once."""

    home: Path
    layers: tuple[Layer, ...]
    warnings: tuple[str, ...] = ()
    config: Config = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "config", _convert(self.home, self.layers))

    def over(self, layer: Layer) -> Layers:
        """The same with one more layer on top."""
        return replace(self, layers=(*self.layers, layer)) if layer.values else self


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
) -> Layers:
    """Read and merge what configures a run.

    `flags` are config values set by command-line options, `assignments` the texts of `-c`, `profile` the flag's value
    or None. Raises ConfigError.
    """
    file = home / "config.toml"
    user = _read(file)
    base = current_folder()
    typed = Layer("-c", _assigned(assignments), base)
    chosen = profile or typed.values.get("profile") or user.get("profile")
    layers = [Layer("the environment", _from_environment(environ), base)]
    layers.append(Layer(str(file), {key: value for key, value in user.items() if key not in PROFILE_KEYS}, home))
    if chosen is not None:
        layers.append(Layer(f"profile {chosen!r} in {file}", _profile(user, chosen, file), home))
    layers.append(replace(typed, values={key: value for key, value in typed.values.items() if key not in PROFILE_KEYS}))
    layers.append(Layer("the command line", flags, base))
    present = tuple(layer for layer in layers if layer.values)
    return Layers(home, present, tuple(warning for layer in present for warning in _unknown_keys(layer)))


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from None
    return _parse(text, str(file))


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


def _assigned(assignments: Sequence[str]) -> dict[str, Any]:
    """The texts of `-c`: a dotted path, then a TOML value, or a plain text where it is none."""
    values: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        keys = path.strip().split(".")
        if not equals or not all(keys):
            raise ConfigError(f"-c {assignment}: expected KEY=VALUE, for example -c model=o3")
        table = values
        for key in keys[:-1]:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise ConfigError(f"-c {assignment}: {key} has a value already and is no table")
        table[keys[-1]] = _value(text)
    return values


def _value(text: str) -> Any:
    try:
        return _parse(f"value = {text}", "-c")["value"]
    except ConfigError:
        return text


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    model = environ.get("OPENAI_DEFAULT_MODEL", "").strip()
    return {"model": model} if model else {}


def _profile(user: Mapping[str, Any], name: str, file: Path) -> Mapping[str, Any]:
    profiles = user.get("profiles", {})
    if not isinstance(profiles, Mapping) or not isinstance(profiles.get(name), Mapping):
        known = ", ".join(profiles) if isinstance(profiles, Mapping) and profiles else "none"
        raise ConfigError(f"no profile called {name!r} in {file}; there are: {known}")
    return dict(profiles[name])


def _unknown_keys(layer: Layer) -> list[str]:
    warnings = []
    for key in layer.values:
        if key not in _BY_NAME:
            import difflib  # wanted only here, and it costs more than reading a config file

            near = difflib.get_close_matches(key, _BY_NAME, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            warnings.append(f"{layer.source}: unknown key {key!r} is ignored{hint}")
    return warnings


def _convert(home: Path, layers: Sequence[Layer]) -> Config:
    fields: dict[str, Any] = {"home": home}
    for layer in layers:
        if all(key in layer.values for key in _SANDBOX):
            raise ConfigError(f"{layer.source}: sandbox_permissions and sandbox_mode exclude each other; keep one")
        for name, value in layer.values.items():
            key = _BY_NAME.get(name)
            if key is None:
                continue
            try:
                converted = key.convert(value, layer.base)
            except ValueError as error:
                raise ConfigError(f"{layer.source}: {name}: {error}") from None
            target = key.field or name
            fields[target] = _merged(fields.get(target, {}), converted) if name in _TABLES else converted
    return Config(**fields)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two tables as one, field by field, at every depth."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if both else value
    return merged

