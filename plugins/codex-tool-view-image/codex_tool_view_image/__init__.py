"""The tool with which the model looks at a picture in a file."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence

from codex_host.errors import ToolError
from codex_host.hookspecs import hookimpl
from codex_host.items import Effects, Image, ToolCall, ToolResult, ToolSpec
from codex_host.parts import Tool, Toolset, Workbench

__all__ = ["ViewImageTool", "ViewImageToolset"]

_SPEC = ToolSpec(
    name="view_image",
    description="Shows you a picture from a file: PNG, JPEG, GIF or WebP.",
    parameters={
        "type": "object",
        "properties": {"path": {"type": "string"}},
        "required": ["path"],
        "additionalProperties": False,
    },
    effects=Effects.NONE,
)


class ViewImageTool(Tool):
    """Reads the file through the host, inside the fence, and answers with the picture.

    Its effects are none: like a plan it changes nothing, and what it may read the host decides.
    """

    spec = _SPEC

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench

    async def call(self, call: ToolCall) -> ToolResult:
        """Show one picture. Raises ToolError for a file that is none."""
        path = call.decoded().get("path")
        if not isinstance(path, str) or not path.strip() or "\0" in path:
            raise ToolError("`path`: expected the path of a picture")
        data = await self._workbench.read_file(self._workbench.cwd / os.path.expanduser(path))
        kind = _kind(data)
        if kind is None:
            raise ToolError(f"{path} is no picture in PNG, JPEG, GIF or WebP")
        url = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
        return ToolResult(f"{path}: {kind}, {len(data)} bytes", images=(Image(url),))


class ViewImageToolset(Toolset):
    """The picture tool alone."""

    async def open(self, workbench: Workbench) -> Sequence[Tool]:
        """One tool, `view_image`."""
        return [ViewImageTool(workbench)]


@hookimpl
def codex_toolset(name: str) -> Toolset | None:
    """The toolset `view_image`; it has no settings."""
    return ViewImageToolset() if name == "view_image" else None


def _kind(data: bytes) -> str | None:
    """The format, by the first bytes: a name says nothing, and a server refuses what it does not know."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    return None
