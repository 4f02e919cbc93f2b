"""The set-up script, in a copy of the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the copy's dev.py with a Python outside of any virtual environment, as after a fresh clone."""
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    environment |= {"PYTHONPATH": str(checkout / "nowhere"), "PYTHONDONTWRITEBYTECODE": "1", "PIP_USER": "1"}
    return subprocess.run(
        [os.path.realpath(sys.executable), str(checkout / "dev.py"), *arguments],
        cwd=checkout.parent,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_without_a_command_it_explains_itself_and_fails() -> None:
    done = run(ROOT)
    assert done.returncode == 1
    assert "dev.py test [ARGS]" in done.stderr


@pytest.mark.slow
def test_a_copy_is_set_up_once_and_only_what_changed_again(tmp_path: Path) -> None:
    checkout = tmp_path / "a folder's copy"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "dist", "tests")
    shutil.copytree(ROOT, checkout, ignore=ignored)

    first = run(checkout, "run", "--version")
    assert first.returncode == 0, first.stderr
    assert "0.1.0" in first.stdout
    assert list(checkout.glob("codex_host/__pycache__/*.pyc"))
    made = (checkout / ".venv/pyvenv.cfg").stat().st_mtime_ns

    started = time.monotonic()
    assert run(checkout, "run", "--version").stderr == ""
    assert time.monotonic() - started < 1

    changed = checkout / "plugins/codex-provider-ollama/pyproject.toml"
    changed.write_text(changed.read_text().replace("ollama = ", "llama = "))
    assert run(checkout, "run", "--version").returncode == 0
    assert (checkout / ".venv/pyvenv.cfg").stat().st_mtime_ns == made
    (entry_points,) = checkout.glob(".venv/lib/*/site-packages/codex_provider_ollama-*/entry_points.txt")
    assert "llama=codex_provider_ollama" in entry_points.read_text().replace(" ", "").splitlines()

    shutil.rmtree(changed.parent)
    assert run(checkout, "run", "--version").returncode == 0
    assert not list(checkout.glob(".venv/lib/*/site-packages/codex_provider_ollama*"))
