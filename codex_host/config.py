"""The settings of a run: what each key means, its type and its default.

`Config` is the result of merging all layers (`codex_host._layers`): every value typed, every default filled in. The
keys and defaults are those of the original's config.toml. Plugins have a table of their own, `[plugins.NAME]`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from codex_host.permissions import PRESETS, READ_ONLY, Permissions

__all__ = [
    "ALIASES",
    "CHOSEN",
    "ENVIRONMENT",
    "KEYS",
    "MERGED",
    "PACKAGES",
    "PROFILE_KEYS",
    "SANDBOX_CANDIDATES",
    "STANDARD_POLICIES",
    "Config",
    "ConfigKey",
    "EnvironmentPolicy",
    "WorkspaceWrite",
]

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
    ("toolset", "exec_command"): "codex-tool-shell",
}
"""What to install for a part whose package is not called after it, by the part's kind and name."""

CHOSEN = "*"
"""In a path of `ENVIRONMENT`: the name that `model_provider` has in this run."""

ALIASES: Mapping[str, tuple[str, ...]] = {"openai_base_url": ("model_providers", "openai", "base_url")}
"""Keys that are another setting under a short name."""

_OTHER_WORDS = {"untrusted": "unless-allow-listed", "suggest": "unless-allow-listed"}
"""Approval policies by the names that other versions of Codex gave them."""

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class EnvironmentPolicy:
    """Which variables of the user a command of the model gets: the table `[shell_environment_policy]`.

    Its fields apply in their order. `exclude` and `include_only` are patterns such as `AWS_*`, for which case does not
    matter.
    """

    inherit: str = "all"
    ignore_default_excludes: bool = False
    exclude: tuple[str, ...] = ()
    set: Mapping[str, str] = field(default_factory=dict)
    include_only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkspaceWrite:
    """What `[sandbox_workspace_write]` changes in the preset `workspace-write`."""

    writable_roots: tuple[Path, ...] = ()
    network_access: bool = False
    exclude_slash_tmp: bool = False
    exclude_tmpdir_env_var: bool = False

    def permissions(self) -> Permissions:
        """The preset with these changes."""
        preset = PRESETS["workspace-write"]
        return replace(
            preset,
            full_network=self.network_access,
            write_global_temp=preset.write_global_temp and not self.exclude_slash_tmp,
            write_user_temp=preset.write_user_temp and not self.exclude_tmpdir_env_var,
            write_folders=self.writable_roots,
        )


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of one run.

    `home` is CODEX_HOME, which may not exist yet. `permissions` joins `sandbox_permissions`, `sandbox_mode` and
    `[sandbox_workspace_write]`. `model_providers`, `mcp_servers` and `plugins` are the tables as they stand.
    """

    home: Path
    model: str = "o4-mini"
    model_provider: str = "openai"
    model_providers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    model_context_window: int | None = None
    model_reasoning_effort: str | None = None
    model_reasoning_summary: str | None = None
    approval_policy: str = "unless-allow-listed"
    permissions: Permissions = READ_ONLY
    sandbox_workspace_write: WorkspaceWrite = WorkspaceWrite()
    sandbox_backend: str = "auto"
    shell_environment_policy: EnvironmentPolicy = EnvironmentPolicy()
    disable_response_storage: bool = False
    notify: tuple[str, ...] = ()
    history_persistence: str = "save-all"
    history_max_bytes: int | None = None
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
    """One key of config.toml; a dot in its name is a table, so `history.persistence` stands in `[history]`.

    `convert` gets the TOML value and the folder that relative paths are relative to, and returns the value for the
    field of `Config` called `field` (by default the key's own name). Raises ValueError with what was expected.
    `project` is whether the file of a trusted project may set it.
    """

    name: str
    convert: Callable[[Any, Path], Any]
    doc: str
    field: str = ""
    project: bool = False


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


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"expected a whole number that is not negative, got {text!r}")
    return int(text)


def _size(value: Any, base: Path) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"expected a whole number above 0, got {value!r}")
    return value


def _texts(value: Any, base: Path) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(element, str) for element in value):
        raise ValueError(f'expected a list of texts such as ["a", "b"], got {value!r}')
    return tuple(value)


def _folders(value: Any, base: Path) -> tuple[Path, ...]:
    folders = [os.path.expanduser(text) for text in _texts(value, base)]
    for folder in folders:
        if not folder.strip() or folder.startswith("~"):
            raise ValueError(f"expected a list of folders, and {folder!r} names none")
    return tuple(base / folder for folder in folders)


def _tables(value: Any, base: Path) -> Mapping[str, Mapping[str, Any]]:
    if not isinstance(value, Mapping) or not all(isinstance(table, Mapping) for table in value.values()):
        raise ValueError(f"expected a table of tables, got {value!r}")
    return value


def _text_table(value: Any, base: Path) -> Mapping[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
        raise ValueError(f'expected a table of texts such as {{ NAME = "value" }}, got {value!r}')
    return value


def _one_of(*words: str) -> Callable[[Any, Path], str]:
    def convert(value: Any, base: Path) -> str:
        if value not in words:
            raise ValueError(f"expected one of {', '.join(map(repr, words))}, got {value!r}")
        return str(value)

    return convert


def _policy(value: Any, base: Path) -> str:
    name = _text(value, base)
    if name in _OTHER_WORDS:
        raise ValueError(f"expected the name of a policy; {name!r} is called {_OTHER_WORDS[name]!r} here")
    return name


def _permissions(value: Any, base: Path) -> Permissions:
    return Permissions.parse(_texts(value, base), base)


def _preset(value: Any, base: Path) -> Permissions:
    return PRESETS[_one_of(*PRESETS)(value, base)]


_EFFORTS = _one_of("minimal", "low", "medium", "high", "xhigh", "none")
_SUMMARIES = _one_of("auto", "concise", "detailed", "none")
_POLICY = "shell_environment_policy"
_WORKSPACE = "sandbox_workspace_write"

ENVIRONMENT: Mapping[str, tuple[tuple[str, ...], Callable[[str], Any]]] = {
    "OPENAI_DEFAULT_MODEL": (("model",), str),
    "OPENAI_REQUEST_MAX_RETRIES": (("model_providers", CHOSEN, "request_max_retries"), _number),
    "OPENAI_STREAM_MAX_RETRIES": (("model_providers", CHOSEN, "stream_max_retries"), _number),
    "OPENAI_STREAM_IDLE_TIMEOUT_MS": (("model_providers", CHOSEN, "stream_idle_timeout_ms"), _number),
}
"""Variables that stand below config.toml, the setting that each is, and how it is read; a blank one counts as unset."""

KEYS = (
    ConfigKey("model", _text, "The model to use.", project=True),
    ConfigKey(
        "model_provider",
        _text,
        "The provider that serves the model: an installed one or one of `model_providers`.",
        project=True,
    ),
    ConfigKey("model_providers", _tables, "Providers of your own, and changes to installed ones, by name."),
    ConfigKey("openai_base_url", _text, "`base_url` of the provider `openai`, to save a table."),
    ConfigKey("model_context_window", _size, "How many tokens the model takes in, if not known.", project=True),
    ConfigKey("model_reasoning_effort", _EFFORTS, "How much the model thinks.", project=True),
    ConfigKey("model_reasoning_summary", _SUMMARIES, "What it shows of its thinking.", project=True),
    ConfigKey("approval_policy", _policy, "When you are asked before something is done."),
    ConfigKey("sandbox_permissions", _permissions, "What commands may touch; [] grants nothing.", "permissions"),
    ConfigKey("sandbox_mode", _preset, "A preset in place of `sandbox_permissions`.", "permissions"),
    ConfigKey(f"{_WORKSPACE}.writable_roots", _folders, "Further folders that `workspace-write` opens."),
    ConfigKey(f"{_WORKSPACE}.network_access", _truth, "Whether `workspace-write` opens the network."),
    ConfigKey(f"{_WORKSPACE}.exclude_slash_tmp", _truth, "Whether `workspace-write` leaves out /tmp."),
    ConfigKey(f"{_WORKSPACE}.exclude_tmpdir_env_var", _truth, "Whether `workspace-write` leaves out TMPDIR."),
    ConfigKey("sandbox_backend", _text, "The sandbox to use; `auto` takes the first that works here."),
    ConfigKey(f"{_POLICY}.inherit", _one_of("core", "all", "none"), "Which of your variables to begin with."),
    ConfigKey(f"{_POLICY}.ignore_default_excludes", _truth, "Whether variables that look secret by their names stay."),
    ConfigKey(f"{_POLICY}.exclude", _texts, "Patterns of further variables to take away."),
    ConfigKey(f"{_POLICY}.set", _text_table, "Variables that are set, whatever was taken away."),
    ConfigKey(f"{_POLICY}.include_only", _texts, "Patterns of the variables that stay; empty keeps all."),
    ConfigKey("disable_response_storage", _truth, "Whether the server must not keep the conversation.", project=True),
    ConfigKey("notify", _texts, "A program that is told when a task ends, with its first arguments."),
    ConfigKey(
        "history.persistence",
        _one_of("save-all", "none"),
        "Whether prompts go to history.jsonl.",
        "history_persistence",
        project=True,
    ),
    ConfigKey(
        "history.max_bytes",
        _count,
        "Accepted, since the original accepts it; nothing is cut.",
        "history_max_bytes",
        project=True,
    ),
    ConfigKey("project_doc_max_bytes", _count, "How much of AGENTS.md is sent; 0 sends nothing.", project=True),
    ConfigKey("session_store", _text, "Where sessions are kept.", project=True),
    ConfigKey("frontend", _text, "What `codex` without a word starts.", project=True),
    ConfigKey("disabled_plugins", _texts, "Distributions or parts (`toolset.shell`) that are never used."),
    ConfigKey("mcp_servers", _tables, "MCP servers, by name."),
    ConfigKey("plugins", _tables, "Settings of plugins, by the part's name."),
)
"""Every key of config.toml, in the order of the documentation; `profile` and `profiles` choose among them."""

MERGED = ("model_providers", "mcp_servers", "plugins", "shell_environment_policy.set")
"""The keys whose tables are merged field by field with those of lower layers; other values replace."""

PROFILE_KEYS = (
    ConfigKey("profile", _text, "The profile that holds if none is chosen."),
    ConfigKey("profiles", _tables, "Sets of values to choose from, by name."),
)
"""The keys that choose among sets of values; only the top level of the user's file and `-c` have them."""
