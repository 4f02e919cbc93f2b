"""The tool in real sessions, on both wires, and the fence around what it reads."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import codex_tool_view_image
import pytest

from codex_host.testing.model_server import Call, ModelServer, Reply, Say
from codex_host.testing.session import Watching, make_host, play
from codex_host.testing.toolset import ToolsetContract

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PICTURES = {
    "png": PNG,
    "jpeg": b"\xff\xd8\xff\xe0 and so on",
    "gif": b"GIF89a and so on",
    "webp": b"RIFF\0\0\0\0WEBP and so on",
}


class TestViewImage(ToolsetContract):
    module = codex_tool_view_image
    name = "view_image"


def shown(folder: Path, path: object, wire: str = "responses", **settings: Any) -> tuple[str, str]:
    """What the model reads after a call: the answer's text, and the whole request."""
    audience = Watching()
    with ModelServer([Reply(Call("view_image", {"path": path}, "look")), Reply(Say("Seen."))]) as server:
        (ending,) = play(make_host(folder, server.base_url, wire=wire, **settings), audience, "go")
    assert (ending.exit_code, audience.questions) == (0, [])
    return server.requests[1].tool_outputs["look"], json.dumps(server.requests[1].body)


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("wire", ["responses", "chat"])
def test_the_picture_is_in_the_next_request(work, tmp_path, wire):
    (work / "a.png").write_bytes(PNG)
    text, request = shown(tmp_path, "a.png", wire)
    assert text == f"a.png: png, {len(PNG)} bytes"
    assert f"data:image/png;base64,{base64.b64encode(PNG).decode()}" in request


@pytest.mark.parametrize("kind", PICTURES)
def test_formats_are_known_by_their_bytes(work, tmp_path, kind):
    (work / "picture").write_bytes(PICTURES[kind])
    assert f"data:image/{kind};base64," in shown(tmp_path, str(work / "picture"))[1]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing.png", "missing.png cannot be read: No such file"),
        (".", "it is a folder"),
        ("text", "text is no picture"),
        ("empty", "empty is no picture"),
        ("huge", "huge is larger than 10 MiB"),
        ("/dev/zero", "it is not a regular file"),
        ("pipe", "it is not a regular file"),
        (3, "expected the path"),
        ("a\0b", "expected the path"),
    ],
)
def test_what_is_no_picture_is_explained(work, tmp_path, path, reason):
    import os

    (work / "text").write_text("words")
    (work / "empty").touch()
    with (work / "huge").open("wb") as file:
        file.write(PNG)
        file.truncate(11 << 20)
    os.mkfifo(work / "pipe")
    text, request = shown(tmp_path, path)
    assert reason in text
    assert "data:image" not in request


def test_what_commands_may_not_read_it_may_not_either(work, tmp_path):
    """Neither what is hidden (CODEX_HOME), nor what is not granted, nor by a link."""
    outside = tmp_path / "outside.png"
    outside.write_bytes(PNG)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "own.png").write_bytes(PNG)
    (work / "link.png").symlink_to(outside)
    (work / "own.png").symlink_to(tmp_path / "home" / "own.png")
    assert "may not be read" in shown(tmp_path, "own.png")[0]
    assert "png" in shown(tmp_path, "link.png")[0]
    for path in ("link.png", str(outside), "../outside.png"):
        assert "may not be read" in shown(tmp_path, path, sandbox_permissions=[])[0]
