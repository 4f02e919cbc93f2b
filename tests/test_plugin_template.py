"""The plugin template: works as it stands, and under another name once it is renamed as its README says."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from codex_host.testing.model_server import ModelServer, Reply, Say

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "plugin-template"


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """The programs of a new virtual environment with codex-host, which sees all else that is installed here."""
    venv.create(tmp_path / "venv", symlinks=os.name != "nt")
    programs = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    own = Path(
        run(tmp_path, programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    )
    here = sysconfig.get_path("purelib")
    (own / "installed_here.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    install(programs, ROOT)
    return programs


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A copy, since installing may leave things behind, and a plugin of one's own is in no checkout of ours either."""
    return copied(tmp_path / "plugin-template")


def copied(folder: Path) -> Path:
    shutil.copytree(TEMPLATE, folder, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
    return folder


def install(programs: Path, *projects: Path) -> None:
    """Install by path, asking nobody; as dev.py does it, with the pip that there is."""
    python = programs / "python"
    outside: list[str | Path] = [os.path.realpath(sys.executable), "-m", "pip", "--python", python]
    pip = [python, "-m", "pip"] if importlib.util.find_spec("pip") else outside
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    run(programs, *pip, "install", *options, *projects)


def run(cwd: Path, *command: str | Path, **environment: str) -> str:
    """Run to the end, and return what it printed; what steers Python, pip and codex from outside is left out."""
    foreign = ("PYTHON", "PIP_", "CODEX_", "OPENAI_")
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith(foreign)}
    inherited = {name: value for name, value in inherited.items() if not name.upper().endswith("_PROXY")}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def works(programs: Path, project: Path, name: str) -> None:
    """Its own tests pass, it is listed, and a run uses it."""
    passed = run(project, programs / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert re.search(r"^\d+ passed", passed, re.MULTILINE), passed
    home = project.parent / "home"
    home.mkdir()
    work = project.parent / "work"
    work.mkdir()
    listed = run(work, programs / "codex", "plugins", "list", CODEX_HOME=str(home))
    assert re.search(
        rf"^provider +{name} +codex-provider-{name} +0\.1\.0 +Models at {name.title()}, ",
        listed,
        re.MULTILINE,
    )
    with ModelServer([Reply(Say("Done."))]) as server:
        address = f"model_providers.{name}.base_url={server.base_url}"
        words = ["exec", "--skip-git-repo-check", "--model-provider", name, "-c", address, "Do it."]
        environment = {"CODEX_HOME": str(home), f"{name.upper()}_API_KEY": "a secret key"}
        assert run(work, programs / "codex", *words, **environment) == "Done.\n"
    (request,) = server.requests
    assert request.headers["authorization"].startswith("HMAC-SHA256 ")
    assert "a secret key" not in str(request)


@pytest.mark.slow
def test_works_as_it_stands(fresh: Path, template: Path) -> None:
    install(fresh, template)
    works(fresh, template, "example")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the README's commands are for a shell")
def test_works_under_another_name_after_the_commands_of_its_readme(fresh: Path, template: Path) -> None:
    readme = (template / "README.md").read_text("utf-8")
    commands = re.search(r"```sh\n(cp -R plugin-template .*?)```", readme, re.DOTALL)
    assert commands
    run(template.parent, "sh", "-e", "-c", commands[1])
    project = template.parent / "codex-provider-acme"
    left = [
        file
        for file in project.rglob("*")
        if file.is_file() and "example" in str(file) + file.read_text("utf-8").lower()
    ]
    assert left == []
    install(fresh, project)
    works(fresh, project, "acme")


def test_its_licence_and_its_files_are_complete() -> None:
    assert (TEMPLATE / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    texts = [file.read_text("utf-8") for file in TEMPLATE.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    holes = [
        hole for text in texts for hole in re.findall(r"cookiecutter|<[A-Z_ ]+>|TODO|FIXME|\{\{ *[a-z_]+ *\}\}", text)
    ]
    assert holes == [], "copying and renaming is all"
