"""Looking is free: what each way of starting imports, while a plugin is installed that raises when it is imported."""

import json
import subprocess
import sys

import pytest

from codex_host._plugins import installed
from codex_host.testing.model_server import Reply, Say

LOOK = """
import sys
file, sys.argv = sys.argv[1], ["codex", *sys.argv[2:]]
before = set(sys.modules)
from codex_host._cli import main
try:
    main()
    code = 0
except SystemExit as end:
    code = end.code
loaded = sorted(name for name, module in sys.modules.items() if module is not None and name not in before)
import json
with open(file, "w") as report:
    json.dump([code, loaded], report)
"""
POISON = "raise ImportError('poisoned')"
NOT_ASKED = (
    "provider",
    "wire_api",
    "sandbox",
    "approval_policy",
    "session_store",
    "frontend",
    "command",
    "oracle",
)

BACKPORTS = {"exceptiongroup", "tomli", "typing_extensions", "sniffio"}
"""What other packages import on some versions of Python or of themselves."""

VERSION = {"codex_host", "codex_host._cli"}
HELP = VERSION | {"codex_host._group", "codex_host._plugins", "codex_host.errors"}
LIST = HELP | {"codex_host._commands", "codex_host._commands.plugins", "codex_host._frontends"}
"""The host's modules, and no plugin's, for `--version`, `--help` and `plugins list`."""

NAMED = {
    "codex_approval_standard",
    "codex_frontend_exec",
    "codex_session_store_files",
    "codex_wire_responses",
}
"""The plugins that a turn without a command asks for by name; its provider is a table, and no sandbox is wanted yet."""
OF_EACH = ("toolset", "instructions", "recorder", "notifier")
"""The kinds of which every enabled entry is asked."""


@pytest.fixture
def started(site, codex_home, tmp_path):
    """Start `codex` with these words beside a poisonous plugin; the exit code and what was imported."""
    site.add("codex-poison", dict.fromkeys(NOT_ASKED, "poison"), POISON)

    def start(*words):
        report = tmp_path / "report.json"
        command = [sys.executable, "-c", LOOK, str(report), *words]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, done.stderr
        code, loaded = json.loads(report.read_text())
        assert code in (0, None), done.stderr
        return done, set(loaded)

    return start


def ours(loaded):
    return {name for name in loaded if name.startswith("codex_")}


def others(loaded):
    """The packages that come neither with Python nor from us."""
    packages = {name.partition(".")[0] for name in loaded}
    return {name for name in packages if not name.startswith("codex_")} - sys.stdlib_module_names - BACKPORTS


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_version(started, word):
    done, loaded = started(word)
    assert done.stdout.startswith("codex-host ")
    assert (ours(loaded), others(loaded)) == (VERSION, set())


def test_help(started):
    done, loaded = started("--help")
    assert "poison" in done.stdout
    assert (ours(loaded), others(loaded)) == (HELP, {"click"})
    assert not {"importlib.metadata", "asyncio", "ssl"} & loaded


def test_the_list_of_plugins(started):
    done, loaded = started("plugins", "list")
    assert done.stdout.count("codex-poison") == len(NOT_ASKED)
    assert (ours(loaded), others(loaded)) == (LIST, {"click"})
    assert not {"importlib.metadata", "asyncio", "ssl"} & loaded


def test_exec(started, served):
    with served(Reply(Say("Hello."))):
        done, loaded = started("exec", "--skip-git-repo-check", "Say hello.")
    assert done.stdout == "Hello.\n"
    asked = {entry.module.partition(".")[0] for entry in installed() if entry.kind in OF_EACH}
    assert {name.partition(".")[0] for name in ours(loaded)} == NAMED | asked | {"codex_host"}
    assert others(loaded) == {"anyio", "certifi", "click", "h11", "httpcore", "httpx", "idna", "pluggy"}
    assert not {"importlib.metadata", "httpx._main", "codex_host._commands"} & loaded
    assert not [name for name in loaded if name.startswith("codex_host.testing")]


def test_a_shell_that_completes_a_word(started, monkeypatch):
    asking = {"_CODEX_COMPLETE": "bash_complete", "COMP_WORDS": "codex po", "COMP_CWORD": "1"}
    for name, value in asking.items():
        monkeypatch.setenv(name, value)
    done, loaded = started()
    assert done.stdout == "plain,poison\n"
    assert not [name for name in ours(loaded) if not name.startswith("codex_host")]
    assert "codex_host.parts" not in loaded
