"""Fitting a command's output into what a model should read: the beginning and the end."""

from __future__ import annotations

from dataclasses import dataclass, fields

from codex_host.actions import Output
from codex_host.config import Config
from codex_host.errors import ConfigError

__all__ = ["Limits", "excerpt"]

_ROOM_FOR_THE_GAP = 80


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of an output the model reads, in bytes of UTF-8 and in lines; whichever is reached first."""

    max_bytes: int = 10 * 1024
    max_lines: int = 256

    @classmethod
    def of(cls, config: Config, name: str) -> Limits:
        """As the table `[plugins.NAME]` sets them. Raises ConfigError for other keys and values."""
        table = config.plugin(name)
        known = [field.name for field in fields(cls)]
        for key, value in table.items():
            if key not in known:
                raise ConfigError(f"[plugins.{name}] has no key {key!r}; it takes {', '.join(known)}")
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"[plugins.{name}] {key}: expected a whole number above 0, got {value!r}")
        return cls(**table)


def excerpt(output: Output, limits: Limits) -> str:
    """The whole output if it fits, else as much of its beginning as of its end, with a line that says what is
    missing.

    The end has its share whatever comes before it, since that is where programs say what went wrong. Lines
    stay whole unless one alone is too long. Limits that are too small for the gap's own line are kept as
    nearly as possible.
    """
    head, tail = _bytes(output.head), _bytes(output.tail)
    total = len(head) + len(tail) + output.left_out
    if not output.left_out:
        head = tail = head + tail
        if total <= limits.max_bytes and len(head.splitlines()) <= limits.max_lines:
            return head.decode()
    room = max((limits.max_bytes - _ROOM_FOR_THE_GAP) // 2, 1)
    beginning = _beginning(head, room, max((limits.max_lines - 1) // 2, 1))
    end = _end(tail, room, max(limits.max_lines // 2, 1))
    gap = f"[... {total - len(beginning) - len(end)} bytes left out ...]"
    newline = "" if beginning.endswith(b"\n") else "\n"
    return f"{beginning.decode()}{newline}{gap}\n{end.decode()}"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _beginning(data: bytes, max_bytes: int, max_lines: int) -> bytes:
    lines = data[:max_bytes].splitlines(keepends=True)
    if len(lines) <= max_lines and len(data) > max_bytes and len(lines[-1]) < max_bytes // 4:
        lines.pop()  # only the beginning of a line
    return _whole_characters(b"".join(lines[:max_lines]))


def _end(data: bytes, max_bytes: int, max_lines: int) -> bytes:
    lines = data[-max_bytes:].splitlines(keepends=True)
    if len(lines) <= max_lines and len(data) > max_bytes and len(lines[0]) < max_bytes // 4:
        lines.pop(0)  # only the end of a line
    return _whole_characters(b"".join(lines[-max_lines:]))


def _whole_characters(data: bytes) -> bytes:
    """Without the bytes of a character that was cut in two."""
    return data.decode("utf-8", "ignore").encode()
