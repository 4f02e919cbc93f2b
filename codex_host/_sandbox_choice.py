"""Which sandbox works here: candidates are tried by running them, and the result is kept until the next boot."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from codex_host import _process
from codex_host._plugins import Found, guarded
from codex_host.actions import Exec
from codex_host.config import SANDBOX_CANDIDATES
from codex_host.errors import CodexError, PluginError, SandboxError
from codex_host.parts import Launch, Sandbox
from codex_host.permissions import Fence

__all__ = ["Choice", "candidates", "choose", "launch_in"]


@dataclass(frozen=True, slots=True)
class Choice:
    """The backend to use, or None with the reason why there is none."""

    found: Found | None
    reason: str = ""

    @property
    def sandbox(self) -> Sandbox:
        """The backend; only where there is one."""
        assert self.found is not None
        sandbox: Sandbox = self.found.part
        return sandbox


def candidates(configured: str, installed: tuple[str, ...]) -> tuple[str, ...]:
    """The names to try: the one that the user named, or for "auto" the platform's, as far as installed."""
    if configured != "auto":
        return (configured,)
    return tuple(name for name in SANDBOX_CANDIDATES.get(sys.platform, ()) if name in installed)


async def choose(names: tuple[str, ...], named: bool, make: Callable[[str], Found], cache: Path) -> Choice:
    """The first of the backends that works here.

    `named` says that the user asked for it: then it works or SandboxError is raised. Otherwise a Choice
    without a backend tells why. A trial is run once for each boot, user and version of a backend; `cache` is
    the folder for its result.
    """
    reasons = []
    for name in names:
        try:
            found = make(name)
            with guarded(found.origin, "looking whether it works here"):
                reason = await anyio.to_thread.run_sync(found.part.unavailable) or await _trial(make(name), cache)
        except PluginError as error:
            reason = str(error)
        if reason is None:
            return Choice(found)
        reasons.append(f"{name}: {reason}")
    if named:
        raise SandboxError(f"the sandbox that was asked for does not work here: {'; '.join(reasons)}")
    nothing = "no sandbox backend for this platform is installed"
    return Choice(None, "; ".join(reasons) or nothing)


async def _trial(found: Found, cache: Path) -> str | None:
    """Run a command that must work and a write that must fail; None if both did as they must, else the reason."""
    key = f"{_boot()} {os.getuid() if hasattr(os, 'getuid') else ''} {found.name} {found.origin}"
    file = cache / "sandbox-trials.json"
    passed = _read(file)
    if key in passed:
        return None
    import tempfile  # wanted once a boot

    with tempfile.TemporaryDirectory(prefix="codex-trial-") as folder:
        reason = await _try(found, Path(folder).resolve())
    if reason is None:
        _write(file, [key, *(other for other in passed if other.startswith(_boot()))])
    return reason


async def _try(found: Found, folder: Path) -> str | None:
    inside, outside = folder / "inside", folder / "outside"
    inside.mkdir()
    outside.mkdir()
    fence = Fence(readable=None, writable=(inside,))
    script = 'echo works && echo x > "$1/file" && ! { echo x > "$2/file"; } 2>/dev/null'
    command = Exec(("/bin/sh", "-c", script, "sh", str(inside), str(outside)), inside, 10.0)
    sandbox: Sandbox = found.part
    try:
        async with sandbox:
            launch = launch_in(found, command, dict(os.environ), fence)
            ended = await _process.run(launch, command.timeout, lambda text: None)
    except (CodexError, OSError) as error:
        return f"its trial run failed: {error}"
    if (outside / "file").exists():
        return "its trial run could write where it must not"
    if ended.exit_code != 0 or not (inside / "file").exists():
        return f"its trial run ended with {ended.exit_code}: {ended.output.text.strip() or 'no output'}"
    return None


def launch_in(found: Found, command: Exec, env: dict[str, str], fence: Fence) -> Launch:
    """How the backend starts a command. Raises SandboxError if it cannot hold the fence, or its code fails."""
    sandbox: Sandbox = found.part
    lacking = fence.demands() - sandbox.guarantees
    if lacking:
        words = ", ".join(sorted(guarantee.value for guarantee in lacking))
        raise SandboxError(f"the sandbox {found.name!r} cannot enforce what is asked of it here: {words}")
    try:
        with guarded(found.origin, "confining a command"):
            return sandbox.confine(command, env, fence)
    except PluginError as error:
        raise SandboxError(str(error)) from error


def _boot() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return "-"


def _read(file: Path) -> list[str]:
    try:
        passed = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return []
    return [key for key in passed if isinstance(key, str)] if isinstance(passed, list) else []


def _write(file: Path, passed: list[str]) -> None:
    """Keep the result if that is possible; without it the next session tries again."""
    temporary = file.with_name(f"{file.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(passed), "utf-8")
        temporary.replace(file)
