"""Parts lent to parts: a hook may ask for other parts by name, but not, over any number of steps, for itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from codex_host._plugins import Found, Plugins
from codex_host.config import Config
from codex_host.errors import ConfigError, PluginError
from codex_host.parts import ApprovalPolicy, Provider, Sandbox, SessionStore, WireApi

if TYPE_CHECKING:
    from codex_host._layers import Layers

__all__ = ["LentParts", "provider", "provider_warnings"]

_PROVIDER_FIELDS = {field.name: field for field in fields(Provider)}


@dataclass(frozen=True, slots=True)
class LentParts:
    """The host's side of the protocol `Parts`.

    `layers` are what made the config, for errors to say where a value stands. `chain` are the parts that are being
    made, the outermost first.
    """

    plugins: Plugins
    config: Config
    layers: Layers | None = None
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
        return replace(self, chain=(*self.chain, wanted))

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
    """The provider of that name: an installed one, amended by its `[model_providers]` table, or the table alone.

    Raises ConfigError for a value that cannot be used; keys that no provider has are left out (`provider_warnings`).
    """
    table = parts.config.model_providers.get(name)
    if table is None:
        return parts.found("provider", name)
    changes = {}
    for key, value in table.items():
        if key in _PROVIDER_FIELDS:
            try:
                changes[key] = _converter(key)(value)
            except ValueError as error:
                raise ConfigError(f"{_where(parts.layers, name, key)} {key}: {error}") from None
    if name in parts.plugins.names("provider"):
        found = parts.found("provider", name)
        return Found(found.part.amended(changes), "provider", name, found.origin)
    for needed in ("name", "base_url"):
        if needed not in changes:
            raise ConfigError(f"[model_providers.{name}] has no {needed!r}, and no provider of that name is installed")
    return Found(Provider(**changes), "provider", name, f"[model_providers.{name}]")


def provider_warnings(layers: Layers) -> tuple[str, ...]:
    """What to tell the user of keys in the chosen provider's table that no provider has."""
    name = layers.config.model_provider
    warnings = []
    for key in layers.config.model_providers.get(name, {}):
        if key not in _PROVIDER_FIELDS:
            import difflib  # wanted only here, and it costs more than reading a config file

            near = difflib.get_close_matches(key, _PROVIDER_FIELDS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            warnings.append(f"{_where(layers, name, key)}: unknown key {key!r} is ignored{hint}")
    return tuple(warnings)


def _where(layers: Layers | None, name: str, key: str) -> str:
    """The place of a key in a provider's table: the file with its line or the flag, if it is known, and the table."""
    origins = layers.origins("model_providers", name, key) if layers is not None else ()
    return f"{origins[0].where}: [model_providers.{name}]" if origins else f"[model_providers.{name}]"


def _converter(key: str) -> Callable[[Any], Any]:
    return _CONVERTERS.get(key) or _BY_TYPE[str(_PROVIDER_FIELDS[key].type)]


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"expected a text that is not empty, got {value!r}")
    return value


def _optional_text(value: Any) -> str | None:
    """A text; an empty one takes away what an installed provider has, since TOML has no null."""
    return None if value == "" else _text(value)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(element, str) for element in value):
        raise ValueError(f'expected a list of texts such as ["a", "b"], got {value!r}')
    return tuple(value)


def _table(value: Any) -> Mapping[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(element, str) for element in value.values()):
        raise ValueError(f'expected a table of texts such as {{ "a" = "b" }}, got {value!r}')
    return value


def _header_names(value: Any) -> Mapping[str, str]:
    """A table whose keys can be names of HTTP headers (RFC 9110, 5.6.2)."""
    for header in (table := _table(value)):
        if re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", header) is None:
            raise ValueError(f"{header!r} cannot be the name of a header")
    return table


def _headers(value: Any) -> Mapping[str, str]:
    """The same, with values that can be sent; what they are is not repeated, since it may be a key."""
    for header, text in (table := _header_names(value)).items():
        if re.fullmatch("[\t\x20-\x7e]*", text) is None:
            raise ValueError(f"the value of {header!r} holds a line break or another character that no header has")
    return table


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"expected a whole number that is not negative, got {value!r}")
    return value


def _milliseconds(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"expected a whole number of milliseconds above 0, got {value!r}")
    return value


def _address(value: Any) -> str:
    """An address to which a path can be appended."""
    text = _text(value).strip()
    if re.match(r"https?://[^/?#]", text) is None:
        raise ValueError(f"expected an address such as https://api.example.com/v1, got {value!r}")
    if "?" in text or "#" in text:
        raise ValueError(f"expected an address without ? and #, got {value!r}; put parameters into query_params")
    return text


_BY_TYPE: Mapping[str, Callable[[Any], Any]] = {
    "str": _text,
    "str | None": _optional_text,
    "int": _count,
    "tuple[str, ...]": _texts,
    "Mapping[str, str]": _table,
}
_CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    "base_url": _address,
    "http_headers": _headers,
    "env_http_headers": _header_names,
    "stream_idle_timeout_ms": _milliseconds,
}
"""How a table's values become a provider's: by the field's type, and more closely for some."""
