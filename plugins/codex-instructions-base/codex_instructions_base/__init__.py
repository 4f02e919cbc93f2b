"""What every model is told about being Codex."""

from __future__ import annotations

from pathlib import Path

from codex_host.hookspecs import hookimpl
from codex_host.parts import Instructions

__all__ = ["BaseInstructions"]

_PROMPT = Path(__file__).with_name("prompt.md")


class BaseInstructions(Instructions):
    """The text of `prompt.md`, the same for every session."""

    rank = Instructions.BASE

    def text(self, cwd: Path, budget: int) -> str:
        """The prompt; the budget is for what projects say."""
        return _PROMPT.read_text(encoding="utf-8").strip()


@hookimpl
def codex_instructions(name: str) -> Instructions | None:
    """The instructions `base`."""
    return BaseInstructions() if name == "base" else None
