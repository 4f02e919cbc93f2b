"""What instructions must keep to: subclass `InstructionsContract` in a pytest module."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from codex_host.parts import Instructions
from codex_host.testing.contract import Contract

__all__ = ["InstructionsContract"]

_BUDGETS = (0, 1, 100, 32 * 1024)
_ROOM_FOR_A_REMARK = 500  # bytes; to say that something was cut, and where all of it is


class InstructionsContract(Contract):
    """The promises of `codex_host.parts.Instructions`."""

    kind = "instructions"
    base: ClassVar[type] = Instructions

    def furnish(self, folder: Path) -> None:
        """Put into a working directory what the part reads there, best more than 64 KiB; by default none."""

    @pytest.fixture
    def workspace(self, tmp_path: Path) -> Path:
        """A working directory with what the part reads."""
        folder = tmp_path / "workspace"
        folder.mkdir()
        self.furnish(folder)
        return folder

    def test_has_a_rank(self) -> None:
        """`rank` is a number, by which texts are ordered."""
        assert type(self.make().rank) is int

    def test_says_something_or_nothing(self, workspace: Path, tmp_path: Path) -> None:
        """A text that says something, or None; also in folders that are empty or gone."""
        for folder in (workspace, tmp_path / "gone"):
            for budget in _BUDGETS:
                text = self.make().text(folder, budget)
                assert text is None or text.strip()

    def test_keeps_to_the_budget(self, workspace: Path) -> None:
        """What the project says takes at most the budget; whatever else is sent does not grow with it."""
        fixed = len((self.make().text(workspace, 0) or "").encode())
        for budget in _BUDGETS:
            text = self.make().text(workspace, budget) or ""
            assert len(text.encode()) <= fixed + budget + _ROOM_FOR_A_REMARK

    def test_says_the_same_each_time(self, workspace: Path) -> None:
        """Servers cache what requests have in common, so nothing in a text changes by itself."""
        part = self.make()
        assert part.text(workspace, 1000) == part.text(workspace, 1000) == self.make().text(workspace, 1000)

    def test_leaves_no_traces(self, workspace: Path) -> None:
        """Asking for the text changes nothing in the working directory."""
        before = sorted(workspace.rglob("*"))
        self.make().text(workspace, 1000)
        assert sorted(workspace.rglob("*")) == before
