"""What is wrong with the configuration, all of it at once: for `codex config check`. No plugin is imported."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from codex_host._layers import Layers, nearest, spelled_once, unknown_keys
from codex_host._parts import LentParts, provider, provider_warnings
from codex_host._plugins import HOOKS, Plugins
from codex_host._sources import Layer, from_environment, of_profile, of_project, profiles, read, settings
from codex_host.errors import CodexError

__all__ = ["Check"]

_KINDS = {
    "model_provider": "provider",
    "approval_policy": "approval_policy",
    "sandbox_backend": "sandbox",
    "session_store": "session_store",
    "frontend": "frontend",
}
"""The keys whose values name a part, and its kind."""


class Check:
    """Looks at the user's file with all its profiles, a trusted project's file and the environment.

    `wrong` is what must be put right, `notes` what may be meant so; each is one line.
    """

    def __init__(self, home: Path, environ: Mapping[str, str], cwd: Path) -> None:
        self.wrong: list[str] = []
        self.notes: list[str] = []
        self._home = home
        layers = self._layers(environ, cwd)
        self._providers = _fields_of_providers(layers)
        self._plugins = Plugins(disabled=[name for layer in layers for name in _disabled(layer)])
        for layer in layers:
            self.wrong += unknown_keys(layer)
            self._values(layer)
            for name, table in _tables(layer, "model_providers"):
                self._provider(layer, name, table)
            self._plugin_tables(layer)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except CodexError as error:
            self.wrong.append(str(error))

    def _layers(self, environ: Mapping[str, str], cwd: Path) -> list[Layer]:
        """The files that can be read; of variables nothing is left to check once they are."""
        layers: list[Layer] = []
        with self._told():
            user = read(self._home / "config.toml", self._home)
            layers += [user, *profiles(user).values()]
            of_profile(None, user, Layer("-c", {}, cwd))
        with self._told():
            project, told = of_project(cwd, self._home)
            (self.wrong if project else self.notes).extend(told)
            layers += project
        with self._told():
            list(from_environment(environ, cwd))
        return layers

    def _values(self, layer: Layer) -> None:
        """Types, and names of parts that nobody has."""
        with self._told():
            spelled_once(layer)
        for key, path, value in settings(layer.values):
            if key is None or key.name == "profile" or (layer.prefix and key.name == "profiles"):
                continue  # told as unknown, or by `of_profile`
            before = len(self.wrong)
            with self._told():
                layer.convert(key, path, value)
            if len(self.wrong) == before and key.name in _KINDS:
                self._name(layer, path, _KINDS[key.name], value)

    def _name(self, layer: Layer, path: tuple[str, ...], kind: str, name: str) -> None:
        if (kind == "sandbox" and name == "auto") or (kind == "provider" and name in self._providers):
            return
        try:
            self._plugins.entry(kind, name)
        except CodexError as error:
            near = nearest(name, self._plugins.names(kind))
            hint = f"; did you mean {near!r}?" if near else ""
            self.wrong.append(f"{layer.where(*path)}: {'.'.join(path)}: {error}{hint}")

    def _provider(self, layer: Layer, name: str, table: Mapping[str, Any]) -> None:
        """A provider's table, field by field, as it would be used if no provider of that name were installed."""
        alone = Plugins(disabled=[f"provider.{name}"])
        for key, value in table.items():
            fields = {"name": name, "base_url": "http://localhost", key: value}
            values = {"model_provider": name, "model_providers": {name: fields}}
            layers = Layers(self._home, (replace(layer, values=values),))
            self.wrong += provider_warnings(layers)
            try:
                provider(LentParts(alone, layers.config, layers), name)
            except CodexError as error:
                self.wrong.append(str(error))
            else:
                if key == "wire_api":
                    self._name(layer, ("model_providers", name, key), "wire_api", value)
        missing = [key for key in ("name", "base_url") if key not in self._providers[name]]
        if missing and name not in self._plugins.names("provider"):
            where = layer.where("model_providers", name)
            lacks = " and ".join(map(repr, missing))
            self.wrong.append(f"{where}: [model_providers.{name}] has no {lacks}, and no such provider is installed")

    def _plugin_tables(self, layer: Layer) -> None:
        names = {name for kind in HOOKS for name in self._plugins.names(kind)}
        for name, _ in _tables(layer, "plugins"):
            if name not in names:
                near = nearest(name, names)
                hint = f"; did you mean {near!r}?" if near else ""
                where = layer.where("plugins", name)
                self.notes.append(f"{where}: nothing reads [plugins.{name}], no part of that name is installed{hint}")


def _disabled(layer: Layer) -> list[str]:
    named = layer.values.get("disabled_plugins")
    return [name for name in named if isinstance(name, str)] if isinstance(named, list) and not layer.prefix else []


def _tables(layer: Layer, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    tables = layer.values.get(key)
    for name, table in tables.items() if isinstance(tables, Mapping) else ():
        if isinstance(table, Mapping):
            yield name, table


def _fields_of_providers(layers: list[Layer]) -> dict[str, set[str]]:
    """The names of all provider tables, with the fields that they have in some layer."""
    fields: dict[str, set[str]] = {}
    for layer in layers:
        for name, table in _tables(layer, "model_providers"):
            fields.setdefault(name, set()).update(table)
    return fields
