"""What somebody gets who installs the distributions instead of working on the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from importlib.metadata import distributions
from pathlib import Path

import pytest

from codex_host.testing.model_server import Call, ModelServer, Reply, Say

ROOT = Path(__file__).resolve().parent.parent
PLUGINS = sorted(str(file.parent) for file in ROOT.glob("plugins/*/pyproject.toml"))
pytestmark = pytest.mark.slow


def run(*command: str | Path, **environment: str) -> str:
    """Run to the end, and return what it printed; what a checkout's environment adds is left out."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in command],
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """The programs of a new virtual environment that has pip and nothing else."""
    try:
        venv.create(tmp_path / "venv", with_pip=True, symlinks=os.name != "nt")
    except subprocess.CalledProcessError:
        pytest.skip("this Python has no ensurepip")
    return tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")


def test_wheels_without_an_index_make_a_working_codex(fresh: Path, tmp_path: Path) -> None:
    python, dist, wheelhouse = fresh / "python", tmp_path / "dist", tmp_path / "wheelhouse"
    run(sys.executable, ROOT / "dev.py", "build", dist)
    run(python, "-m", "pip", "download", "-d", wheelhouse, "-c", ROOT / "constraints.txt", *third_party())
    links = ["--no-index", "--find-links", dist, "--find-links", wheelhouse]
    run(python, "-m", "pip", "install", *links, "codex-host", "codex-provider-ollama")
    run(python, "-m", "pip", "check")
    assert run(fresh / "codex", "--version").startswith("codex")
    with ModelServer([Reply(Call("shell", {"command": ["true"]})), Reply(Say("Done."))]) as server:
        home = codex_home(tmp_path / "home", server.base_url)
        folder = ["--skip-git-repo-check", "-C", tmp_path]
        assert run(fresh / "codex", "exec", *folder, "Do it.", CODEX_HOME=home) == "Done.\n"
        assert set(server.unexpected) <= {"Unknown request: POST /api/show"}, "it looks whether this is an Ollama"
        server.unexpected.clear()
    assert len(server.requests[-1].tool_outputs) == 1
    assert not list((tmp_path / "venv").glob("**/site-packages/codex*/**/.*")), "a tool's cache was packed"


def test_a_checkout_and_the_template_beside_it_are_installed_by_path(fresh: Path, tmp_path: Path) -> None:
    python, template = fresh / "python", tmp_path / "template"
    shutil.copytree(ROOT / "plugin-template", template)
    folders = [f"{ROOT}[testing]", *PLUGINS, template]
    run(python, "-m", "pip", "install", *folders, PIP_CONSTRAINT=str(ROOT / "constraints.txt"))
    run(python, "-m", "pip", "check")
    ours = [line for line in run(python, "-m", "pip", "freeze").splitlines() if line.startswith("codex-")]
    assert len(ours) == len(folders)
    assert all(" @ file://" in line for line in ours), "one of our names was looked up in an index"
    assert "demo" in run(fresh / "codex", "--help")
    assert " passed" in run(python, "-m", "pytest", template)


def codex_home(home: Path, base_url: str) -> str:
    """A folder with a config that asks the installed provider `ollama` at another address."""
    home.mkdir()
    config = f'model = "test-model"\nmodel_provider = "ollama"\n[model_providers.ollama]\nbase_url = "{base_url}"\n'
    (home / "config.toml").write_text(config)
    return str(home)


def third_party() -> list[str]:
    """What our distributions need at run time and is not ours."""
    ours = [found for found in distributions() if found.metadata["Name"].startswith("codex-")]
    needed = {requirement for found in ours for requirement in found.requires or []}
    return sorted(name for name in needed if not name.startswith("codex-") and "extra ==" not in name)
