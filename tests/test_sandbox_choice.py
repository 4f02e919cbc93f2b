"""Which sandbox works here: tried by running it, once for each boot."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from codex_host import _sandbox_choice
from codex_host._plugins import Found, Plugins
from codex_host._sandbox_choice import Choice, candidates, choose
from codex_host.actions import Exec
from codex_host.errors import PluginError, SandboxError
from codex_host.events import ActionEnded, SessionStarted
from codex_host.parts import Launch, Sandbox
from codex_host.permissions import Fence, Guarantee
from codex_host.testing.model_server import Call, ModelServer, Reply, Say
from codex_host.testing.session import Watching, make_host, play


class Leaky(Sandbox):
    """Promises everything, holds nothing back; counts what happens to it."""

    guarantees = frozenset(Guarantee)

    def __init__(self, missing: str | Exception | None = None) -> None:
        self.missing = missing
        self.entered = self.left = self.confined = 0

    async def __aenter__(self) -> Sandbox:
        self.entered += 1
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.left += 1

    def unavailable(self) -> str | None:
        if isinstance(self.missing, Exception):
            raise self.missing
        return self.missing

    def confine(self, command: Exec, env: Mapping[str, str], fence: Fence) -> Launch:
        self.confined += 1
        return Launch(command.argv, env, command.cwd)


class Tight(Leaky):
    """Lets the trial's command write where it may, and fails the write that must fail, as a sandbox would."""

    def confine(self, command: Exec, env: Mapping[str, str], fence: Fence) -> Launch:
        self.confined += 1
        assert fence.writable is not None
        return Launch(("/bin/sh", "-c", f"echo works; echo x >{fence.writable[0]}/file"), env, command.cwd)


class Breaking(Leaky):
    def confine(self, command: Exec, env: Mapping[str, str], fence: Fence) -> Launch:
        raise KeyError("a bug")


class Failing(Leaky):
    def confine(self, command: Exec, env: Mapping[str, str], fence: Fence) -> Launch:
        return Launch(("/bin/sh", "-c", "echo no such container >&2; exit 125"), env, command.cwd)


class Missing(Leaky):
    def confine(self, command: Exec, env: Mapping[str, str], fence: Fence) -> Launch:
        return Launch(("no-such-sandbox-program",), env, command.cwd)


class Entering(Leaky):
    async def __aenter__(self) -> Sandbox:
        raise KeyError("a bug")


def making(**parts: Any) -> Callable[[str], Found]:
    def make(name: str) -> Found:
        if name not in parts:
            raise PluginError(f"no sandbox called {name!r}")
        return Found(parts[name], "sandbox", name, f"codex-sandbox-{name} 1.0")

    return make


def chosen(cache: Path, *names: str, named: bool = False, **parts: Any) -> Choice:
    return anyio.run(choose, names or tuple(parts), named, making(**parts), cache)


def test_the_candidates() -> None:
    assert candidates("mine", ("other",)) == ("mine",)
    assert candidates("auto", ()) == ()
    assert candidates("auto", ("landlock", "other")) == (("landlock",) if sys.platform == "linux" else ())


def test_what_works_is_chosen(tmp_path: Path) -> None:
    tight = Tight()
    choice = chosen(tmp_path, tight=tight)
    assert choice.sandbox is tight
    assert (tight.entered, tight.left, tight.confined) == (1, 1, 1)


def test_a_trial_is_run_once_for_each_boot_and_version(tmp_path: Path) -> None:
    first, second = Tight(), Tight()
    chosen(tmp_path, tight=first)
    assert chosen(tmp_path, tight=second).sandbox is second
    assert (first.confined, second.confined) == (1, 0)
    newer = Tight()
    make = making(tight=newer)

    def made(name: str) -> Found:
        found = make(name)
        return Found(found.part, found.kind, found.name, "codex-sandbox-tight 2.0")

    anyio.run(choose, ("tight",), False, made, tmp_path)
    assert newer.confined == 1


@pytest.mark.skipif(sys.platform != "linux", reason="no number of the boot is known elsewhere")
def test_what_another_boot_found_out_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sandbox_choice, "_boot", lambda: "an earlier one")
    chosen(tmp_path, tight=Tight())
    monkeypatch.undo()
    again = Tight()
    chosen(tmp_path, tight=again)
    assert again.confined == 1
    kept = json.loads((tmp_path / "sandbox-trials.json").read_text())
    assert not any("an earlier one" in key for key in kept)


@pytest.mark.parametrize(
    ("sandbox", "reason"),
    [
        (Leaky(), "could write where it must not"),
        (Leaky("the kernel is too old"), "the kernel is too old"),
        (Leaky(KeyError("a bug")), "codex-sandbox-test 1.0 failed looking whether it works here"),
        (Breaking(), "codex-sandbox-test 1.0 failed confining a command"),
        (Failing(), "ended with 125: no such container"),
        (Missing(), "no-such-sandbox-program"),
        (Entering(), "a bug"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Sandbox) else None,
)
def test_what_does_not_hold_is_rejected_with_the_reason(tmp_path: Path, sandbox: Sandbox, reason: str) -> None:
    choice = chosen(tmp_path, test=sandbox)
    assert choice.found is None
    assert choice.reason.startswith("test: ")
    assert reason in choice.reason
    with pytest.raises(SandboxError, match="that was asked for does not work here"):
        chosen(tmp_path, named=True, test=sandbox)
    assert not (tmp_path / "sandbox-trials.json").exists()


def test_a_lacking_guarantee_is_a_reason(tmp_path: Path) -> None:
    class Lacking(Tight):
        guarantees = frozenset({Guarantee.WRITES})

    assert "cannot enforce what is asked of it here: network" in chosen(tmp_path, test=Lacking()).reason


def test_the_next_candidate_is_tried(tmp_path: Path) -> None:
    tight = Tight()
    assert chosen(tmp_path, "missing", "leaky", "tight", leaky=Leaky(), tight=tight).sandbox is tight


def test_without_candidates_it_says_so(tmp_path: Path) -> None:
    assert chosen(tmp_path).reason == "no sandbox backend for this platform is installed"
    with pytest.raises(SandboxError, match="no sandbox called 'missing'"):
        chosen(tmp_path, "missing", named=True)


@pytest.mark.parametrize("content", ["", "{", "{}", "[1, null]", '"x"', "\udcff"])
def test_a_damaged_cache_only_costs_a_trial(tmp_path: Path, content: str) -> None:
    (tmp_path / "sandbox-trials.json").write_text(content, "utf-8", "surrogateescape")
    tight = Tight()
    assert chosen(tmp_path, tight=tight).sandbox is tight
    assert tight.confined == 1
    assert chosen(tmp_path, tight=tight).sandbox is tight
    assert tight.confined == 1


def test_a_cache_that_cannot_be_written_only_costs_trials(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    tight = Tight()
    for _ in range(2):
        assert chosen(tmp_path / "cache", tight=tight).sandbox is tight
    assert tight.confined == 2


@pytest.mark.skipif(sys.platform != "linux", reason="landlock is a part of Linux")
def test_landlock_is_chosen_where_it_works(tmp_path: Path) -> None:
    if reason := Plugins().part("sandbox", "landlock", config=None, parts=None).part.unavailable():
        pytest.skip(reason)

    def make(name: str) -> Found:
        return Plugins().part("sandbox", name, config=None, parts=None)

    choice = anyio.run(choose, ("landlock",), True, make, tmp_path)
    assert choice.found is not None
    assert choice.found.origin.startswith("codex-sandbox-linux ")
    assert len(json.loads((tmp_path / "sandbox-trials.json").read_text())) == 1


# --- In a whole session


def test_the_sandbox_is_opened_lazily_and_left(tmp_path: Path) -> None:
    tight = Tight()
    how: dict[str, Any] = {
        "parts": {"sandbox.tight": tight},
        "sandbox_backend": "tight",
        "sandbox_mode": "workspace-write",
    }
    audience = Watching()
    with ModelServer([Reply(Say("nothing to run"))]) as server:
        play(make_host(tmp_path, server.base_url, **how), audience, "go")
    assert (tight.entered, tight.left) == (0, 0)
    assert audience.of(SessionStarted)[0].sandbox == "tight"
    call = Reply(Call("shell", {"command": ["true"]}))
    with ModelServer([call, call, Reply(Say("done"))]) as server:
        play(make_host(tmp_path, server.base_url, **how), audience, "go")
    assert (tight.entered, tight.left) == (2, 2)  # the trial, and the session
    assert tight.confined == 3
    assert len(audience.of(ActionEnded)) == 2
    with ModelServer([call, Reply(Say("done"))]) as server:
        play(make_host(tmp_path, server.base_url, **how), audience, "go")
    assert (tight.entered, tight.left) == (3, 3)  # no further trial
    assert os.path.exists(tmp_path / "home/cache/sandbox-trials.json")
