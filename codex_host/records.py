"""What a session's log holds: an append-only sequence of records, and their JSON form.

The log is the truth. What the host believes of a session (`_transcript`) is a fold over its records, so reading a log
again gives the same state as having lived it. What the log does not hold has not happened: records are appended before
the host acts on them. The names of classes and fields are the form on disk: renaming one, or adding a record that must
not be overlooked, raises FORMAT.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from codex_host.events import Ending
from codex_host.items import Item, Usage

__all__ = [
    "FORMAT",
    "ItemAdded",
    "Record",
    "ReplyCompleted",
    "SessionBegan",
    "TaskBegan",
    "TaskOver",
    "from_json",
    "to_json",
]

FORMAT = 1
"""The version of the log's form, in its first record. A reader refuses a higher one."""


@dataclass(frozen=True, slots=True)
class SessionBegan:
    """The first record. `time` is in seconds since 1970, here and below."""

    session_id: str
    time: float
    cwd: Path
    model: str
    provider: str
    version: str
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class TaskBegan:
    """A user request begins."""

    task_id: str
    time: float


@dataclass(frozen=True, slots=True)
class ItemAdded:
    """The conversation has grown by an item."""

    item: Item


@dataclass(frozen=True, slots=True)
class ReplyCompleted:
    """All items of one reply are in the log. `response_id` names it at a server that remembers, else None."""

    response_id: str | None
    usage: Usage


@dataclass(frozen=True, slots=True)
class TaskOver:
    """A user request has ended."""

    task_id: str
    time: float
    ending: Ending


Record = SessionBegan | TaskBegan | ItemAdded | ReplyCompleted | TaskOver


def to_json(value: Any) -> Any:
    """A record (or a part of one) as JSON values; a dataclass becomes an object whose `type` is its class's name."""
    if is_dataclass(value) and not isinstance(value, type):
        return {"type": type(value).__name__, **{f.name: to_json(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [to_json(element) for element in value]
    return value


def from_json(data: Any, form: Any = Record) -> Any:
    """The inverse of `to_json`: build the `form` (a record by default) that `data` describes.

    Fields that this version does not know are ignored, missing ones take their default. Raises ValueError for data
    that is no such thing.
    """
    origin, arguments = typing.get_origin(form), typing.get_args(form)
    if origin in (typing.Union, types.UnionType):
        return _from_union(data, arguments)
    if origin is tuple and isinstance(data, list):
        return tuple(from_json(element, arguments[0]) for element in data)
    if isinstance(form, type) and origin is None:  # until Python 3.11 `tuple[str, ...]` is a type too
        if is_dataclass(form) and isinstance(data, Mapping):
            return _from_object(data, form)
        if form is Path and isinstance(data, str):
            return Path(data)
        if issubclass(form, Enum):
            return form(data)
        if _is_plain(data, form):
            return data
    raise ValueError(f"expected {getattr(form, '__name__', form)}, got {data!r}")


def _is_plain(data: Any, form: type) -> bool:
    """Whether a JSON value is of this type; true and false are no numbers, whatever Python says."""
    if isinstance(data, bool):
        return form is bool
    return isinstance(data, (int, float) if form is float else form)


def _from_union(data: Any, forms: tuple[Any, ...]) -> Any:
    if data is None and type(None) in forms:
        return None
    named = data.get("type") if isinstance(data, Mapping) else None
    for form in forms:
        if form is not type(None) and (not is_dataclass(form) or getattr(form, "__name__", None) == named):
            return from_json(data, form)
    raise ValueError(f"unknown type {named or data!r}")


def _from_object(data: Mapping[str, Any], form: type) -> Any:
    known = {}
    for name, hint in _hints(form).items():
        if name in data:
            try:
                known[name] = from_json(data[name], hint)
            except ValueError as error:
                raise ValueError(f"{form.__name__}.{name}: {error}") from None
    try:
        return form(**known)
    except TypeError as error:
        raise ValueError(f"{form.__name__} is incomplete: {error}") from None


@cache
def _hints(form: type) -> dict[str, Any]:
    """The types of a dataclass's fields; evaluating them costs more than all else."""
    hints = typing.get_type_hints(form)
    return {field.name: hints[field.name] for field in fields(form)}
