r"""Pytest fixtures for plugins: a CODEX_HOME of the test's own, and the real `codex` as a process.

A plugin's test module or its top-level conftest.py loads them by name:

    pytest_plugins = ["codex_host.testing.fixtures"]

    def test_answers(codex_home, run_codex):
        (codex_home / "config.toml").write_text('model_provider = "example"')
        with ModelServer([Reply(Say("Hello."))]) as server:
            address = f"model_providers.example.base_url={server.base_url}"
            run = run_codex("exec", "--skip-git-repo-check", "-c", address, "Say hello.").assert_success()
        assert run.stdout == "Hello.\n"

The plugin must be installed where the tests run (`pip install -e .`), as it is for its users.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

__all__ = ["CodexRun", "RunCodex", "codex_home", "run_codex"]

_FOREIGN = ("CODEX_", "OPENAI_")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@dataclass(frozen=True, slots=True)
class CodexRun:
    """How a run of `codex` ended, and all that it wrote."""

    arguments: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str

    def assert_success(self) -> CodexRun:
        """This run; fails, and shows what it wrote, if its exit code is not 0."""
        return self.assert_exit(0)

    def assert_exit(self, exit_code: int, *said: str) -> CodexRun:
        """This run; fails, and shows what it wrote, unless it ended so and said these texts on standard error."""
        if self.exit_code != exit_code:
            raise AssertionError(f"exit code {self.exit_code} instead of {exit_code}\n{self}")
        for text in said:
            if text not in self.stderr:
                raise AssertionError(f"standard error does not say {text!r}\n{self}")
        return self

    def __str__(self) -> str:
        words = " ".join(("codex", *self.arguments))
        return f"$ {words}\n--- standard output\n{self.stdout}\n--- standard error\n{self.stderr}"


class RunCodex(Protocol):
    """Runs `codex` with these arguments and waits for its end.

    `env` is added to the environment; None takes a variable away. `stdin` is what it reads, nothing if None. `cwd` is
    the folder it starts in, by default the test's `tmp_path`. A run that takes more than `timeout` seconds is killed,
    and fails the test.
    """

    def __call__(
        self,
        *arguments: str | os.PathLike[str],
        env: Mapping[str, str | None] | None = None,
        stdin: str | None = None,
        cwd: Path | None = None,
        timeout: float = 60.0,
    ) -> CodexRun:
        """See the class."""


@pytest.fixture
def codex_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new, empty CODEX_HOME, set in the environment.

    Other variables that configure Codex, and proxies, which would be asked for the model server, are taken away.
    """
    home = tmp_path / "codex home"
    home.mkdir()
    for name in tuple(os.environ):
        if name.startswith(_FOREIGN) or name.upper() in _PROXIES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("CODEX_HOME", str(home))
    return home


@pytest.fixture
def run_codex(codex_home: Path, tmp_path: Path) -> RunCodex:
    """A function that runs the installed `codex` with the test's `codex_home`; see `RunCodex`."""
    scripts = sysconfig.get_path("scripts")
    program = shutil.which("codex", path=scripts)
    if program is None:
        pytest.fail(f"there is no `codex` in {scripts}; install codex-host into this environment")

    def run(
        *arguments: str | os.PathLike[str],
        env: Mapping[str, str | None] | None = None,
        stdin: str | None = None,
        cwd: Path | None = None,
        timeout: float = 60.0,
    ) -> CodexRun:
        words = tuple(str(argument) for argument in arguments)
        variables = {name: value for name, value in {**os.environ, **(env or {})}.items() if value is not None}
        done = subprocess.run(
            [program, *words],
            env=variables,
            cwd=cwd or tmp_path,
            input=stdin if stdin is not None else "",
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
        )
        return CodexRun(words, done.returncode, done.stdout, done.stderr)

    return run
