from pathlib import Path

import pytest
from codex_tool_shell import _arguments
from codex_tool_shell._arguments import parse

from codex_host.actions import Exec
from codex_host.errors import ToolError

CWD = Path("/project")


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ({"command": ["ls"]}, Exec(("ls",), CWD, 10.0)),
        ({"command": ["echo", "", " "]}, Exec(("echo", "", " "), CWD)),
        ({"command": ["ls"], "unknown": 1}, Exec(("ls",), CWD)),
        ({"command": ["ls"], "workdir": None, "timeout": None}, Exec(("ls",), CWD)),
        ({"command": ["ls"], "workdir": ""}, Exec(("ls",), CWD)),
        ({"command": ["ls"], "workdir": "a/b"}, Exec(("ls",), CWD / "a/b")),
        ({"command": ["ls"], "workdir": "/etc"}, Exec(("ls",), Path("/etc"))),
        ({"command": ["ls"], "timeout": 250}, Exec(("ls",), CWD, 0.25)),
        ({"command": ["ls"], "timeout": 2000.0}, Exec(("ls",), CWD, 2.0)),
        ({"command": ["ls"], "timeout_ms": 3000}, Exec(("ls",), CWD, 3.0)),
        ({"command": ["ls"], "timeout": 1000, "timeout_ms": 3000}, Exec(("ls",), CWD, 1.0)),
        ({"command": "ls | wc"}, Exec(("bash", "-lc", "ls | wc"), CWD)),
    ],
)
def test_understands(arguments, command):
    assert parse(arguments, CWD) == command


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "`command`: expected a list of texts"),
        ({"command": []}, "expected a list of texts"),
        ({"command": "  "}, "expected a list of texts"),
        ({"command": {"a": 1}}, 'got {"a": 1}'),
        ({"command": ["ls", 3]}, "element 1 is no text but 3"),
        ({"command": ["ls", ["-l"]]}, "element 1"),
        ({"command": [""]}, "the program, is empty"),
        ({"command": ["ls", "a\0b"]}, "NUL"),
        ({"command": "ls \0"}, "NUL"),
        ({"command": ["ls", "\ud83d"]}, "half a character"),
        ({"command": ["ls"], "workdir": 3}, "`workdir`: expected the path of a folder, got 3"),
        ({"command": ["ls"], "workdir": "a\0"}, "`workdir`.*NUL"),
        ({"command": ["ls"], "timeout": 1.5}, "`timeout`: expected a whole number of milliseconds.*got 1.5"),
        ({"command": ["ls"], "timeout": -1}, "got -1"),
        ({"command": ["ls"], "timeout": 0}, "got 0"),
        ({"command": ["ls"], "timeout": True}, "got true"),
        ({"command": ["ls"], "timeout": "10"}, 'got "10"'),
        ({"command": ["ls"], "timeout": float("inf")}, "got Infinity"),
        ({"command": ["ls"], "timeout": float("nan")}, "got NaN"),
        ({"command": ["ls"], "timeout": 10**400}, r"got 1000000*\.\.\."),
        ({"command": ["ls"], "timeout_ms": 86_400_001}, "`timeout_ms`"),
    ],
)
def test_explains(arguments, words):
    with pytest.raises(ToolError, match=words):
        parse(arguments, CWD)


def test_takes_sh_where_there_is_no_bash(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _arguments.parse({"command": "ls | wc"}, CWD).argv == ("sh", "-c", "ls | wc")
