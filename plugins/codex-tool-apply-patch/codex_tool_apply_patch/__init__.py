"""The tool with which the model changes files: `apply_patch`, called by itself or as a shell command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_host.hookspecs import hookimpl

if TYPE_CHECKING:
    from codex_host.config import Config
    from codex_host.parts import Toolset

__all__ = ["codex_toolset"]


@hookimpl
def codex_toolset(name: str, config: Config) -> Toolset | None:
    """The toolset `apply_patch`; it has no settings."""
    if name != "apply_patch":
        return None
    from codex_tool_apply_patch._tool import PatchToolset

    return PatchToolset()
