"""Records, items and events survive their JSON form, and nothing else passes for one."""

import contextlib
import json
import typing
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codex_host import actions, events, items, records
from codex_host.events import Ending, EndingKind, Event
from codex_host.items import Item, Text, ToolResult, Usage, UserMessage
from codex_host.records import ItemAdded, Record, ReplyCompleted, SessionBegan, TaskOver, from_json, to_json

ALL = {
    form.__name__: form
    for union in (
        Record,
        Item,
        Event,
        items.Content,
        actions.Action,
        actions.Outcome,
        actions.Verdict,
        actions.Grant,
    )
    for form in typing.get_args(union)
}
"""Every class that is a record, an item or an event, or a choice within one."""

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
PATHS = TEXTS.map(lambda text: Path("/" + text.replace("\0", "")))


@st.composite
def instances(draw, form):
    """Any value of a class, its fields drawn by their types."""
    hints = typing.get_type_hints(form)
    return form(**{field.name: draw(values(hints[field.name])) for field in fields(form)})


def values(hint):
    """Any value of a field's type."""
    simple = {str: TEXTS, int: st.integers(), bool: st.booleans(), type(None): st.none(), Path: PATHS}
    if hint in simple:
        return simple[hint]
    if hint is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    if is_dataclass(hint):
        return instances(hint)
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    return st.one_of([values(argument) for argument in arguments])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.just("type"), inner, max_size=3),
    max_leaves=8,
)


class TestRoundTrip:
    @pytest.mark.parametrize("name", sorted(ALL))
    @settings(max_examples=25)
    @given(data=st.data())
    def test_of_every_class(self, name, data):
        value = data.draw(instances(ALL[name]))
        line = json.dumps(to_json(value))
        assert from_json(json.loads(line), ALL[name]) == value

    @settings(max_examples=50)
    @given(record=st.one_of([instances(form) for form in typing.get_args(Record)]))
    def test_a_record_is_known_by_its_type(self, record):
        assert from_json(json.loads(json.dumps(to_json(record)))) == record

    def test_the_form_on_disk(self):
        record = ItemAdded(UserMessage((Text("hi"),)))
        content = [{"type": "Text", "text": "hi"}]
        assert to_json(record) == {"type": "ItemAdded", "item": {"type": "UserMessage", "content": content}}
        ending = TaskOver("1", 2.5, Ending(EndingKind.ANSWERED, "done", 0))
        expected = {"type": "Ending", "kind": "answered", "message": "done", "exit_code": 0}
        assert to_json(ending) == {"type": "TaskOver", "task_id": "1", "time": 2.5, "ending": expected}

    def test_every_class_of_the_modules_is_tested(self):
        defined = {
            getattr(module, name)
            for module in (records, items, events)
            for name in module.__all__
            if isinstance(getattr(module, name), type) and is_dataclass(getattr(module, name))
        }
        on_the_wire = {"Completed", "ItemDone", "ReasoningDelta", "Request", "TextDelta", "ToolSpec"}
        tested = {part for form in ALL.values() for part in (form, *parts_of(form))}
        assert {form.__name__ for form in defined - tested} == on_the_wire


def parts_of(hint):
    """The dataclasses in a type, however deep."""
    inner = list(typing.get_type_hints(hint).values()) if is_dataclass(hint) else list(typing.get_args(hint))
    found = [form for form in inner if is_dataclass(form)]
    return {*found, *(part for form in inner for part in parts_of(form))}


class TestReading:
    def test_unknown_fields_are_ignored_and_missing_ones_take_their_default(self):
        data = to_json(SessionBegan("id", 1.0, Path("/x"), "m", "p", "0"))
        del data["format"]
        assert from_json({**data, "mood": {"type": "Good"}}) == SessionBegan("id", 1.0, Path("/x"), "m", "p", "0")

    def test_unknown_fields_within_are_ignored(self):
        data = to_json(ReplyCompleted(None, Usage(1)))
        data["usage"]["dreaming"] = 5
        assert from_json(data) == ReplyCompleted(None, Usage(1))

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ({"type": "Prophecy"}, "Prophecy"),
            ({}, "unknown type {}"),
            ([], "unknown type []"),
            (None, "unknown type None"),
            ({"type": ["TaskBegan"]}, "unknown type"),
            ({"type": "TaskBegan", "task_id": "1"}, "TaskBegan is incomplete"),
            ({"type": "TaskBegan", "task_id": 1, "time": 0}, "TaskBegan.task_id: expected str, got 1"),
            (
                {"type": "TaskBegan", "task_id": "1", "time": "now"},
                "TaskBegan.time: expected float, got 'now'",
            ),
            ({"type": "TaskBegan", "task_id": "1", "time": True}, "TaskBegan.time: expected float, got True"),
            ({"type": "ItemAdded", "item": {"type": "TaskBegan"}}, "ItemAdded.item: unknown type"),
            (
                {"type": "ReplyCompleted", "response_id": None, "usage": {"input": True}},
                "Usage.input: expected int, got True",
            ),
            ({"type": "ReplyCompleted", "response_id": 3, "usage": {}}, "ReplyCompleted.response_id"),
            (
                {"type": "TaskOver", "task_id": "", "time": 0, "ending": {"kind": "odd"}},
                "Ending.kind: 'odd' is not a valid",
            ),
            (
                {"type": "TaskOver", "task_id": "", "time": 0, "ending": {"kind": []}},
                "Ending.kind: [] is not a valid",
            ),
        ],
    )
    def test_what_is_no_record_says_why(self, data, message):
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            from_json(data)
        assert message in str(caught.value)

    @settings(max_examples=300)
    @given(JSON)
    def test_anything_else_is_a_value_error_at_worst(self, data):
        with contextlib.suppress(ValueError):
            from_json(data)

    @pytest.mark.parametrize("name", sorted(ALL))
    @settings(max_examples=15)
    @given(data=st.data())
    def test_a_damaged_one_is_a_value_error_at_worst(self, name, data):
        """One value of a right one, at any depth, is replaced by anything."""
        value = json.loads(json.dumps(to_json(data.draw(instances(ALL[name])))))
        damage(value, data)
        with contextlib.suppress(ValueError):
            from_json(value, ALL[name])

    def test_a_result_without_pictures_is_one_of_an_older_version(self):
        assert from_json({"text": "x", "success": False}, ToolResult) == ToolResult("x", success=False)


def damage(value, data):
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    if not keys:
        return
    key = data.draw(st.sampled_from(keys))
    if isinstance(value[key], (dict, list)) and data.draw(st.booleans()):
        damage(value[key], data)
    else:
        value[key] = data.draw(JSON)
