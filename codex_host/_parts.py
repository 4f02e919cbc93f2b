"""Parts lent to parts: a hook may ask for other parts by name, but not, over any number of steps, for itself."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from codex_host._plugins import Found, Plugins
from codex_host.config import Config
from codex_host.errors import ConfigError, PluginError
from codex_host.parts import ApprovalPolicy, Provider, Sandbox, SessionStore, WireApi

__all__ = ["LentParts", "provider"]

_PROVIDER_FIELDS = {field.name: field for field in fields(Provider)}


@dataclass(frozen=True, slots=True)
class LentParts:
    """The host's side of the protocol `Parts`. `chain` are the parts that are being made, the outermost first."""

    plugins: Plugins
    config: Config
    chain: tuple[str, ...] = ()

    def found(self, kind: str, name: str) -> Found:
        """The part with where it comes from. Raises PluginError."""
        return self.plugins.part(kind, name, config=self.config, parts=self._within(kind, name))

    def optional(self, kind: str, name: str) -> Found | None:
        """The same for a part that may have nothing to do."""
        return self.plugins.optional_part(kind, name, config=self.config, parts=self._within(kind, name))

    def _within(self, kind: str, name: str) -> LentParts:
        wanted = f"{kind} {name}"
        if wanted in self.chain:
            raise PluginError(f"parts that ask for each other in a circle: {' > '.join((*self.chain, wanted))}")
        return LentParts(self.plugins, self.config, (*self.chain, wanted))

    def provider(self, name: str) -> Provider:
        return provider(self, name).part  # type: ignore[no-any-return]

    def wire_api(self, name: str) -> WireApi:
        return self.found("wire_api", name).part  # type: ignore[no-any-return]

    def sandbox(self, name: str) -> Sandbox:
        return self.found("sandbox", name).part  # type: ignore[no-any-return]

    def approval_policy(self, name: str) -> ApprovalPolicy:
        return self.found("approval_policy", name).part  # type: ignore[no-any-return]

    def session_store(self, name: str) -> SessionStore:
        return self.found("session_store", name).part  # type: ignore[no-any-return]


def provider(parts: LentParts, name: str) -> Found:
    """The provider of that name: an installed one, amended by its `[model_providers]` table, or the table alone."""
    table = parts.config.model_providers.get(name)
    if table is None:
        return parts.found("provider", name)
    changes = {key: _field(name, key, value) for key, value in table.items()}
    if name in parts.plugins.names("provider"):
        found = parts.found("provider", name)
        return Found(found.part.amended(changes), "provider", name, found.origin)
    for needed in ("name", "base_url"):
        if needed not in changes:
            raise ConfigError(f"[model_providers.{name}] has no {needed!r}, and no provider of that name is installed")
    return Found(Provider(**changes), "provider", name, f"[model_providers.{name}]")


def _field(name: str, key: str, value: Any) -> Any:
    """One value of a provider's table, checked against the field's type."""
    known = _PROVIDER_FIELDS.get(key)
    where = f"[model_providers.{name}] {key}"
    if known is None:
        raise ConfigError(f"{where}: there is no such key; there are: {', '.join(_PROVIDER_FIELDS)}")
    kind = str(known.type)
    fits = (
        isinstance(value, str)
        if "str" in kind and "Mapping" not in kind
        else isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if kind == "int"
        else isinstance(value, dict) and all(isinstance(element, str) for element in value.values())
    )
    if not fits:
        wanted = {"int": "a whole number that is not negative", "str": "a text"}.get(kind.split(" ")[0], "a table of texts")
        raise ConfigError(f"{where}: expected {wanted}, got {value!r}")
    return value
