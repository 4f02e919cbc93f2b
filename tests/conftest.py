"""What several test modules share: the fixtures for plugin authors, and distributions that are made up."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from codex_host.testing.fixtures import codex_home, run_codex
from codex_host.testing.model_server import ModelServer, Step

__all__ = ["codex_home", "run_codex", "served", "site"]

settings.register_profile("same everywhere", database=None, deadline=None, derandomize=True)
settings.load_profile("same everywhere")


class Site:
    """A folder on the path with made-up distributions, for this process and for those that it starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(
        self,
        distribution: str,
        entries: Mapping[str, str],
        code: str = "",
        *,
        version: str = "1.0",
        generation: int = 1,
        summary: str = "Made up",
    ) -> str:
        """Install a distribution whose one module claims the `entries` ("kind" to "name name"); the module's name."""
        module = distribution.replace("-", "_")
        metadata = self.folder / f"{module}-{version}.dist-info"
        metadata.mkdir(parents=True)
        lines = [f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\nSummary: {summary}\n"]
        (metadata / "METADATA").write_text("".join(lines), "utf-8")
        groups = [f"[codex_host.v{generation}.{kind}]\n" + claims(names, module) for kind, names in entries.items()]
        (metadata / "entry_points.txt").write_text("\n".join(groups), "utf-8")
        (self.folder / f"{module}.py").write_text(code, "utf-8")
        return module


def claims(names: str, module: str) -> str:
    return "".join(f"{name} = {module}\n" for name in names.split())


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep))
    yield Site(folder)
    for name, module in tuple(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def served(codex_home: Path) -> Callable[..., AbstractContextManager[ModelServer]]:
    """Start a model server that answers with these steps and is the configured provider."""

    @contextmanager
    def serve(*script: Step, wire_api: str = "responses") -> Iterator[ModelServer]:
        with ModelServer(script) as server:
            table = f'name = "Test"\nbase_url = "{server.base_url}"\nwire_api = "{wire_api}"\n'
            text = f'model_provider = "test"\n[model_providers.test]\n{table}'
            (codex_home / "config.toml").write_text(text, "utf-8")
            yield server

    return serve
