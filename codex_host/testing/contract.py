"""What every part must keep to, whatever its kind; the base of the contract classes.

A plugin's author subclasses the contract of a kind in a pytest module, and pytest runs the inherited tests:

    import codex_provider_ollama
    from codex_host.testing.provider import ProviderContract

    class TestOllama(ProviderContract):
        module = codex_provider_ollama
        name = "ollama"

The plugin must be installed (`pip install -e .`), since the host finds it by its metadata. A part that must
break a promise says which and why; the test is then expected to fail, and that it fails is checked:

    deviations = {"test_explains_a_refused_key": "the server answers every error with 400"}

A test that has cases may be named with its case: "test_decodes_a_transcript[plain]". Contract tests can't be
overridden: the class is rejected when it is defined.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pluggy
import pytest

from codex_host import hookspecs
from codex_host._plugins import installed
from codex_host.config import Config
from codex_host.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import ModuleType

    from codex_host.parts import Parts

__all__ = ["HEAVY", "Contract"]

HEAVY = frozenset(
    {"click", "httpx", "mcp", "numpy", "openai", "prompt_toolkit", "pydantic", "requests", "rich", "textual"}
)
"""Libraries that a plugin's module imports in the function that needs them: each would delay every start."""

_IMPORTED = """
import json, sys
sys.path[:], module = json.loads(sys.argv[1])
before = set(sys.modules)
__import__(module)
print(json.dumps(sorted(set(sys.modules) - before)))
"""


class Contract:
    """The promises of any kind; its contract sets `kind` and `base`, a plugin's test `module` and `name`."""

    kind: ClassVar[str]
    """The kind of part, as in the entry point's group: "provider"."""
    base: ClassVar[type]
    """The class in `codex_host.parts` that the part must be an instance of."""
    module: ClassVar[ModuleType]
    """The module with the hook."""
    name: ClassVar[str]
    """The part's name, as in the entry point."""
    deviations: ClassVar[Mapping[str, str]] = {}
    """Promises that this part does not keep: the test's name and the reason."""

    config: Config
    """The config of the running test, made by `configure`."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        tests = {attribute for attribute in dir(cls) if attribute.startswith("test_")}
        for test in sorted(tests):
            definers = [base.__name__ for base in cls.__mro__ if test in base.__dict__]
            if len(definers) > 1:
                owner = definers[-1]
                raise TypeError(f"{cls.__name__} overrides {test} of {owner}; name it in `deviations` instead")
        for test, reason in cls.deviations.items():
            if test.partition("[")[0] not in tests:
                raise TypeError(f"`deviations` of {cls.__name__} names {test!r}, which is no contract test")
            if not reason.strip():
                raise TypeError(f"`deviations` of {cls.__name__} gives no reason for {test!r}")

    @pytest.fixture(autouse=True)
    def _prepare(self, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        self.config = self.configure(tmp_path / "codex home")
        test = request.node.name
        reason = self.deviations.get(test) or self.deviations.get(test.partition("[")[0])
        if reason:
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))

    def configure(self, home: Path) -> Config:
        """The config that the part is made with; override it for a part that needs settings.

        `home` is a folder of the test's own that does not exist yet.
        """
        return Config(home=home)

    def make(self, config: Config | None = None, parts: Parts | None = None) -> Any:
        """The part, made as the host makes it: the hook gets only those arguments that it takes."""
        return self.ask(self.name, config, parts)

    def ask(self, name: str, config: Config | None = None, parts: Parts | None = None) -> Any:
        """What the hook answers for any name: a part, or None."""
        lent = {"name": name, "config": config or self.config, "parts": parts or cast("Parts", _NoParts())}
        hook = getattr(_registered(self.module).hook, f"codex_{self.kind}")
        return hook(**{argument: lent[argument] for argument in hook.spec.argnames})

    # --- What all kinds promise (`codex_host.hookspecs`) -----------------------------------------------

    def test_metadata_claims_the_name(self) -> None:
        """An entry point maps the name to the module; without one the host never finds the part."""
        claims = {entry.module for entry in installed() if (entry.kind, entry.name) == (self.kind, self.name)}
        assert claims == {self.module.__name__}, f"no entry point codex_host.v1.{self.kind}: {self.name}"

    def test_hooks_are_known_and_no_wrappers(self) -> None:
        """Every hook in the module is one of the host's, takes its arguments, and wraps no other plugin's."""
        manager = _registered(self.module)
        manager.check_pending()
        for caller in manager.get_hookcallers(self.module) or ():
            for implementation in caller.get_hookimpls():
                assert not implementation.wrapper, caller.name
                assert not implementation.hookwrapper, caller.name

    def test_makes_the_part(self) -> None:
        """The hook makes a part of the kind's class, and does not touch the disk for it."""
        assert isinstance(self.make(), self.base)
        assert not self.config.home.exists()

    def test_answers_none_to_other_names(self) -> None:
        """None means "not mine", also for names that look alike."""
        for name in ("no-such-part", "", f"{self.name}-2", f" {self.name}", self.name.swapcase()):
            if name != self.name:
                assert self.ask(name) is None, f"it also answers to {name!r}"

    def test_imports_no_heavy_library(self) -> None:
        """Importing the module in a fresh interpreter loads none of HEAVY."""
        argument = json.dumps([sys.path, self.module.__name__])
        command = [sys.executable, "-c", _IMPORTED, argument]
        run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert run.returncode == 0, run.stderr
        assert not HEAVY.intersection(json.loads(run.stdout.splitlines()[-1]))


class _NoParts:
    """The other parts that a hook is lent if the test gives none: there are none."""

    def __getattr__(self, kind: str) -> Any:
        def absent(name: str) -> Any:
            raise PluginError(f"no {kind} called {name!r} in this test")

        return absent


def _registered(module: ModuleType) -> pluggy.PluginManager:
    """A manager that knows this module only. Raises PluginValidationError if a hook takes what isn't lent."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(module)
    return manager
