"""Finding plugins by their metadata, importing one by name, asking the module that claims it.

Looking is free: what is installed is read from the `entry_points.txt` of each distribution, without importing anything
(`importlib.metadata` alone would cost more than the whole scan). A module is imported when somebody asks for a name
that its distribution claims, and then only that module's hook is called. This file alone touches pluggy.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from codex_host.errors import CodexError, PluginError

if TYPE_CHECKING:
    import pluggy

__all__ = ["GENERATION", "HOOKS", "Entry", "Plugins", "Found", "guarded", "installed", "summary"]

GENERATION = 1

HOOKS: Mapping[str, str] = {
    kind: f"codex_{kind}"
    for kind in (
        "provider",
        "wire_api",
        "sandbox",
        "approval_policy",
        "session_store",
        "toolset",
        "instructions",
        "recorder",
        "notifier",
        "frontend",
        "command",
    )
}
"""The kinds of parts, and the hook that makes each."""

_PACKAGE_WORDS = {"wire_api": "wire", "approval_policy": "approval", "toolset": "tool"}
"""The kinds that packages are named after in another way than the kind's own name."""

_GROUP = re.compile(r"codex_host\.v(\d+)\.(\w+)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One name that an installed distribution claims. `metadata` is the path of its dist-info folder."""

    kind: str
    name: str
    module: str
    distribution: str
    version: str
    metadata: str
    generation: int = GENERATION

    @property
    def origin(self) -> str:
        """The distribution and its version, as errors name it."""
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True, slots=True)
class Found:
    """A part that was asked for. `origin` names where it comes from: a distribution with its version."""

    part: Any
    kind: str
    name: str
    origin: str


def installed(path: Sequence[str] | None = None) -> tuple[Entry, ...]:
    """All names that the distributions on `sys.path` claim, whatever their generation; nothing is imported.

    A distribution that stands on the path twice counts where it stands first, as Python's import does.
    """
    entries: dict[str, list[Entry]] = {}
    for folder in filter(os.path.isabs, sys.path if path is None else path):
        here: dict[str, list[Entry]] = {}
        for name, metadata in _metadata_folders(folder):
            text = _read(os.path.join(metadata, "entry_points.txt"))
            if "codex_host." in text:
                distribution, _, version = name.removesuffix(".dist-info").partition("-")
                distribution = _normalised(distribution)
                here[distribution] = list(_entries(text, distribution, version, metadata))
        entries = here | entries
    return tuple(entry for claimed in entries.values() for entry in claimed)


def _normalised(distribution: str) -> str:
    """The one spelling of a distribution's name (packaging.python.org, "Names and normalization")."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _metadata_folders(folder: str) -> Iterator[tuple[str, str]]:
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        yield from ((item.name, item.path) for item in found if item.name.endswith(".dist-info"))


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""


def _entries(text: str, distribution: str, version: str, metadata: str) -> Iterator[Entry]:
    """The entries of one `entry_points.txt` (packaging.python.org, "Entry points specification")."""
    group = None
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            group = _GROUP.fullmatch(line.strip("[] "))
        elif group and "=" in line and line[0] not in "#;":
            name, _, module = (word.strip() for word in line.partition("="))
            yield Entry(group[2], name, module, distribution, version, metadata, int(group[1]))


def summary(entry: Entry) -> str:
    """The one-line description of the entry's distribution, for help texts; empty if there is none."""
    for line in _read(os.path.join(entry.metadata, "METADATA")).splitlines():
        if not line:
            break
        if line.startswith("Summary:"):
            return line.removeprefix("Summary:").strip()
    return ""


@contextlib.contextmanager
def guarded(origin: str, doing: str) -> Iterator[None]:
    """Run a plugin's code; what it raises becomes a PluginError that names the plugin and what it was doing.

    A CodexError passes as it is, since it is meant for the user. A plugin that leaves (`sys.exit`) has failed too, or
    the run would end as if all were well. Whether the run goes on without the part (open) or ends (closed) is its
    caller's decision, as the hook's documentation says.
    """
    try:
        yield
    except CodexError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(f"{origin} failed {doing}: {type(error).__name__}: {error}") from error


class Plugins:
    """The parts of one run: those given in process, then what is installed and not disabled.

    `given` maps "kind.name" to a ready part, which stands before an installed one of that name. `disabled` names
    distributions, or parts as "kind.name".
    """

    def __init__(self, given: Mapping[str, object] | None = None, disabled: Sequence[str] = ()) -> None:
        self._given = dict(given or {})
        self._disabled = frozenset({*disabled, *map(_normalised, disabled)})
        self._entries: dict[tuple[str, str], list[Entry]] | None = None
        self._registered: dict[str, ModuleType] = {}
        self._manager: pluggy.PluginManager | None = None

    def names(self, kind: str) -> tuple[str, ...]:
        """The enabled names of a kind, sorted."""
        given = {key.partition(".")[2] for key in self._given if key.startswith(f"{kind}.")}
        return tuple(sorted(given | {name for found, name in self._index() if found == kind}))

    def entry(self, kind: str, name: str) -> Entry:
        """The one installed entry of that name. Raises PluginError that says what to do if there is none, or two."""
        claims = self._index().get((kind, name), [])
        if len(claims) == 1:
            return claims[0]
        if claims:
            origins = " and ".join(sorted(entry.origin for entry in claims))
            raise PluginError(
                f"two plugins claim the {_word(kind)} {name!r}: {origins}; uninstall or disable one of them"
            )
        raise PluginError(self._absence(kind, name))

    def part(self, kind: str, name: str, **lent: Any) -> Found:
        """Make the part of that kind and name; `lent` is what the hook may take beside the name.

        Raises PluginError if there is none or its plugin fails.
        """
        found = self.optional_part(kind, name, **lent)
        if found is None:
            raise PluginError(f"{self.entry(kind, name).origin} claims the {_word(kind)} {name!r} but does not make it")
        return found

    def optional_part(self, kind: str, name: str, **lent: Any) -> Found | None:
        """The same for kinds of which every enabled entry is asked and may have nothing to do: None then."""
        if (given := self._given.get(f"{kind}.{name}")) is not None:
            return Found(given, kind, name, f"the {_word(kind)} {name!r} given in process")
        entry = self.entry(kind, name)
        with guarded(entry.origin, f"importing {entry.module} for the {_word(kind)} {name!r}"):
            module = importlib.import_module(entry.module)
        made = self._call(module, entry.origin, kind, name, lent)
        if made is None:
            return None
        if not isinstance(made, base := _base(kind)):
            wrong = type(made).__name__
            raise PluginError(f"{entry.origin} made a {wrong}, not a {base.__name__}, as the {_word(kind)} {name!r}")
        return Found(made, kind, name, entry.origin)

    def _index(self) -> dict[tuple[str, str], list[Entry]]:
        if self._entries is None:
            self._entries = {}
            for entry in installed():
                names = {entry.distribution, f"{entry.kind}.{entry.name}"}
                if entry.generation == GENERATION and not names & self._disabled:
                    self._entries.setdefault((entry.kind, entry.name), []).append(entry)
        return self._entries

    def _absence(self, kind: str, name: str) -> str:
        import difflib  # wanted for this alone

        from codex_host.config import PACKAGES

        word = _word(kind)
        for entry in installed():
            if (entry.kind, entry.name) == (kind, name):
                if entry.generation != GENERATION:
                    age = "an older" if entry.generation < GENERATION else "a newer"
                    return (
                        f"{entry.origin} has the {word} {name!r} for {age} plugin interface (v{entry.generation}; "
                        f"this codex-host has v{GENERATION}); install a version of it that fits"
                    )
                return f"the {word} {name!r} of {entry.origin} is disabled by `disabled_plugins`"
        names = ", ".join(self.names(kind)) or "none"
        missing = f"no {word} called {name!r}; installed: {names}"
        near = difflib.get_close_matches(name, self.names(kind), 1)
        if near and (kind, name) not in PACKAGES:  # a slip of the pen is no reason to install what nobody vouches for
            return f"{missing}; did you mean {near[0]!r}?"
        package = PACKAGES.get((kind, name)) or _normalised(f"codex-{_PACKAGE_WORDS.get(kind, kind)}-{name}")
        return f"{missing}; pip install {package}"

    def _call(self, module: ModuleType, origin: str, kind: str, name: str, lent: Mapping[str, Any]) -> Any:
        """Call the one hook of the one module."""
        manager = self._registering(module, origin)
        others = [other for other in self._registered.values() if other is not module]
        hook: Callable[..., Any] = manager.subset_hook_caller(HOOKS[kind], remove_plugins=others)
        with guarded(origin, f"making the {_word(kind)} {name!r}"):
            return hook(name=name, **lent)

    def _registering(self, module: ModuleType, origin: str) -> pluggy.PluginManager:
        """The manager, which now knows the module. Raises PluginError each time for a module that does not fit."""
        import pluggy

        if self._manager is None:
            self._manager = _manager()
        if module.__name__ in self._registered:
            return self._manager
        try:
            self._manager.register(module)
            _check(self._manager, module, origin)
        except (pluggy.PluginValidationError, PluginError) as error:
            if self._manager.is_registered(module):  # some versions of pluggy take it in before they check
                self._manager.unregister(module)
            if isinstance(error, PluginError):
                raise
            reason = str(error).splitlines()[-1]
            raise PluginError(
                f"{origin} does not fit this codex-host, install another version of it: {reason}"
            ) from error
        self._registered[module.__name__] = module
        return self._manager


def _manager() -> pluggy.PluginManager:
    """A manager that knows the hooks and no plugin yet; it tells of every call if CODEX_TRACE_HOOKS is set to 1."""
    import pluggy

    from codex_host import hookspecs

    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    if os.environ.get("CODEX_TRACE_HOOKS") == "1":
        manager.trace.root.setwriter(sys.stderr.write)
        manager.enable_tracing()
    return manager


def _base(kind: str) -> type[Any]:
    """The class of which every part of a kind is an instance."""
    if kind == "command":
        import click

        return click.Command
    from codex_host import parts

    base: type[Any] = getattr(parts, kind.title().replace("_", ""))
    return base


def _word(kind: str) -> str:
    """A kind as people read it."""
    return kind.replace("_", " ")


def _check(manager: pluggy.PluginManager, plugin: object, origin: str) -> None:
    """Reject wrappers, which would reach into other plugins' parts, and hooks that this host does not have.

    A hook that is marked `optionalhook` may be unknown: so a plugin serves hosts of several ages.
    """
    for caller in manager.get_hookcallers(plugin) or ():
        for implementation in caller.get_hookimpls():
            if implementation.plugin is not plugin:
                continue
            if implementation.wrapper or implementation.hookwrapper:
                raise PluginError(f"{origin} wraps the hook {caller.name!r}; a plugin may only make parts of its own")
            if not caller.has_spec() and not implementation.optionalhook:
                raise PluginError(
                    f"{origin} has a hook {caller.name!r} that this codex-host does not know; update codex-host"
                )
