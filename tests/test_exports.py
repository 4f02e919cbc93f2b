"""What the public modules offer: `__all__` names it, all of it, and each thing says what it is for."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from typing import TypeVar, get_origin

import pytest

import codex_host
from codex_host import testing

PUBLIC = sorted(
    f"{package.__name__}.{module.name}"
    for package in (codex_host, testing)
    for module in pkgutil.iter_modules(package.__path__)
    if not module.name.startswith("_") and not module.ispkg
)
HOOKS = "codex_host.hookspecs"
"""Its hooks are there to be read and implemented; only the marker is imported."""
UNLISTED = {"codex_host.testing.model_server": {"main"}}
"""What is public by its name only: the program behind `python -m`."""


def defined(module):
    """The public names that a module defines at its top level, in the order of their definitions."""
    names = []
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.append(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names += [target.id for target in targets if isinstance(target, ast.Name)]
    return [name for name in names if not name.startswith("_")]


def load(name):
    return importlib.import_module(name)


def test_the_public_modules():
    assert {name.rpartition(".")[2] for name in PUBLIC} >= {
        "actions", "config", "errors", "events", "hookspecs", "items", "parts", "permissions", "programs",
        "records", "text", "contract", "fixtures", "model_server", "provider", "wire_api",
    }  # fmt: skip


def test_the_packages_documentation_names_them():
    modules = {name.split(".")[1] for name in PUBLIC}
    assert [module for module in sorted(modules) if f"`{module}`" not in codex_host.__doc__] == []


@pytest.mark.parametrize("name", PUBLIC)
class TestModule:
    def test_all_is_there_and_once(self, name):
        module = load(name)
        assert [export for export in module.__all__ if not hasattr(module, export)] == []
        assert sorted(set(module.__all__)) == sorted(module.__all__)

    def test_all_is_all(self, name):
        if name == HOOKS:
            assert load(name).__all__ == ["hookimpl"]
            return
        module = load(name)
        own = {export for export in defined(module) if not isinstance(getattr(module, export, None), TypeVar)}
        assert own - set(module.__all__) == UNLISTED.get(name, set())

    def test_says_what_each_thing_is_for(self, name):
        module = load(name)
        assert module.__doc__
        things = [getattr(module, export) for export in module.__all__]
        things = [thing for thing in things if not get_origin(thing)]  # an alias is no class, though some say so
        things = [thing for thing in things if inspect.isclass(thing) or inspect.isfunction(thing)]
        assert [thing.__name__ for thing in things if not documented(thing)] == []


def documented(thing):
    """Whether it has words of its own: a dataclass without any gets its signature for a docstring."""
    text = thing.__dict__.get("__doc__") or "" if inspect.isclass(thing) else thing.__doc__ or ""
    return bool(text) and not text.startswith(f"{thing.__name__}(")


LIGHT = ("actions", "config", "errors", "events", "items", "parts", "permissions", "records", "text")


def test_the_package_is_a_library():
    """Neither the package nor the contract's modules load the command line, pluggy or httpx."""
    modules = ", ".join(f"codex_host.{name}" for name in LIGHT)
    code = f"import sys, codex_host; print(*sys.modules); import {modules}; print(*sys.modules)"
    lines = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    alone, contract = (set(line.split()) for line in lines)
    assert {name for name in alone if name.startswith("codex_host")} == {"codex_host"}
    assert not {"click", "pluggy", "httpx", "anyio", "asyncio", "subprocess"} & (alone | contract)
