"""The settings of a run: what each key means, its type and its default.

`Config` is the result of merging all layers (`codex_host._layers`): every value typed, every default filled in. The
keys and defaults are those of the original's config.toml. Plugins have a table of their own, `[plugins.NAME]`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from codex_host.permissions import PRESETS, READ_ONLY, Permissions

__all__ = ["KEYS", "PACKAGES", "PROFILE_KEYS", "SANDBOX_CANDIDATES", "STANDARD_POLICIES", "Config", "ConfigKey"]

STANDARD_POLICIES = ("unless-allow-listed", "on-failure", "never")
SANDBOX_CANDIDATES: Mapping[str, tuple[str, ...]] = {"linux": ("landlock",)}
"""What `sandbox_backend = "auto"` tries, in order, by `sys.platform`; names that are not installed are skipped."""

PACKAGES: Mapping[tuple[str, str], str] = {
    **{("approval_policy", name): "codex-approval-standard" for name in STANDARD_POLICIES},
    **{
        ("provider", name): "codex-provider-openai-compatible"
        for name in ("openrouter", "gemini", "mistral", "deepseek", "xai", "groq")
    },
    ("sandbox", "landlock"): "codex-sandbox-linux",
}
"""What to install for a part whose package is not called after it, by the part's kind and name."""

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of one run.

    `home` is CODEX_HOME, which may not exist yet. `permissions` joins `sandbox_permissions` and `sandbox_mode`.
    `model_providers`, `mcp_servers` and `plugins` are the tables as they stand.
    """

    home: Path
    model: str = "o4-mini"
    model_provider: str = "openai"
    model_providers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    model_reasoning_effort: str | None = None
    model_reasoning_summary: str | None = None
    approval_policy: str = "unless-allow-listed"
    permissions: Permissions = READ_ONLY
    sandbox_backend: str = "auto"
    disable_response_storage: bool = False
    notify: tuple[str, ...] = ()
    history_persistence: str = "save-all"
    project_doc_max_bytes: int = 32 * 1024
    session_store: str = "files"
    frontend: str = "rich"
    disabled_plugins: tuple[str, ...] = ()
    mcp_servers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    plugins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def plugin(self, name: str) -> Mapping[str, Any]:
        """The table `[plugins.NAME]`, empty if there is none."""
        return self.plugins.get(name, _EMPTY)


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """One key of config.toml.

    `convert` gets the TOML value and the folder that relative paths are relative to, and returns the value for the
    field of `Config` called `field`. Raises ValueError with what was expected.
    """

    name: str
    convert: Callable[[Any, Path], Any]
    doc: str
    field: str = ""


def _text(value: Any, base: Path) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"expected a text that is not empty, got {value!r}")
    return value


def _truth(value: Any, base: Path) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {value!r}")
    return value


def _count(value: Any, base: Path) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"expected a whole number that is not negative, got {value!r}")
    return value


def _texts(value: Any, base: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(element, str) for element in value):
        raise ValueError(f'expected a list of texts such as ["a", "b"], got {value!r}')
    return tuple(value)


def _tables(value: Any, base: Path) -> Mapping[str, Mapping[str, Any]]:
    if not isinstance(value, Mapping) or not all(isinstance(table, Mapping) for table in value.values()):
        raise ValueError(f"expected a table of tables, got {value!r}")
    return value


def _one_of(*words: str) -> Callable[[Any, Path], str]:
    def convert(value: Any, base: Path) -> str:
        if value not in words:
            raise ValueError(f"expected one of {', '.join(map(repr, words))}, got {value!r}")
        return str(value)

    return convert


def _history(value: Any, base: Path) -> str:
    if not isinstance(value, Mapping):
        raise ValueError(f"expected a table, got {value!r}")
    return _one_of("save-all", "none")(value.get("persistence", "save-all"), base)


def _permissions(value: Any, base: Path) -> Permissions:
    return Permissions.parse(_texts(value, base), base)


def _preset(value: Any, base: Path) -> Permissions:
    return PRESETS[_one_of(*PRESETS)(value, base)]


KEYS = (
    ConfigKey("model", _text, "The model to use."),
    ConfigKey("model_provider", _text, "The provider that serves the model: an installed one or one of `model_providers`."),
    ConfigKey("model_providers", _tables, "Providers of your own, and changes to installed ones, by name."),
    ConfigKey("model_reasoning_effort", _one_of("minimal", "low", "medium", "high"), "How much the model thinks."),
    ConfigKey("model_reasoning_summary", _one_of("auto", "concise", "detailed", "none"), "What it shows of its thinking."),
    ConfigKey("approval_policy", _text, "When you are asked before something is done."),
    ConfigKey("sandbox_permissions", _permissions, "What commands may touch; an empty list grants nothing.", "permissions"),
    ConfigKey("sandbox_mode", _preset, "A preset in place of `sandbox_permissions`.", "permissions"),
    ConfigKey("sandbox_backend", _text, "The sandbox to use; `auto` takes the first that works here."),
    ConfigKey("disable_response_storage", _truth, "Whether the server must not keep the conversation."),
    ConfigKey("notify", _texts, "A program that is told when a task ends, with its first arguments."),
    ConfigKey("history", _history, "`persistence`: whether prompts go to history.jsonl.", "history_persistence"),
    ConfigKey("project_doc_max_bytes", _count, "How much of AGENTS.md is sent; 0 sends nothing."),
    ConfigKey("session_store", _text, "Where sessions are kept."),
    ConfigKey("frontend", _text, "What `codex` without a word starts."),
    ConfigKey("disabled_plugins", _texts, "Distributions or parts (`toolset.shell`) that are never used."),
    ConfigKey("mcp_servers", _tables, "MCP servers, by name."),
    ConfigKey("plugins", _tables, "Settings of plugins, by the part's name."),
)
"""Every key of config.toml, in the order of the documentation; `profile` and `profiles` choose among them."""

PROFILE_KEYS = ("profile", "profiles")
