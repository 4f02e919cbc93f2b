"""Tool calls that small models write as text: found when unmistakable, told when broken, else left alone."""

import json

import codex_wire_chat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_host.items import (
    AssistantMessage,
    ItemDone,
    Request,
    Text,
    TextDelta,
    ToolCall,
    ToolSpec,
    UserMessage,
)
from codex_host.parts import ServerEvent
from codex_host.testing.wire_api import decoded

WIRE = codex_wire_chat.codex_wire_api("chat")
PROPERTIES = {"command": {"type": "array"}, "workdir": {"type": "string"}}
SHELL = ToolSpec("shell", "Runs a command.", {"type": "object", "properties": PROPERTIES})
REQUEST = Request("m", "", (UserMessage((Text("What is here?"),)),), (SHELL,))
LS = {"command": ["ls"]}
CALL = json.dumps({"name": "shell", "arguments": LS})


def reply(*pieces, request=REQUEST, finish="stop"):
    """What comes of a reply with this text: all events but the last, Completed."""
    deltas = [({"content": piece}, None) for piece in pieces]
    events = [
        ServerEvent("message", json.dumps({"id": "r", "choices": [{"delta": delta, "finish_reason": reason}]}))
        for delta, reason in [*deltas, ({}, finish)]
    ]
    return decoded(WIRE.decoder_for(request), events)[:-1]


def shown(said):
    return "".join(event.text for event in said if isinstance(event, TextDelta))


def outcome(said):
    """The message and the calls, as name and arguments."""
    items = [event.item for event in said if isinstance(event, ItemDone)]
    message = [item.text for item in items if isinstance(item, AssistantMessage)]
    assert "".join(message) == shown(said)
    calls = [(item.name, json.loads(item.arguments)) for item in items if isinstance(item, ToolCall)]
    return "".join(message), calls


FORMS = {
    "hermes": f"<tool_call>\n{CALL}\n</tool_call>",
    "hermes, not closed": f"<tool_call>\n{CALL}",
    "hermes, closed by the end token": f"<tool_call>{CALL}</tool_call><|im_end|>",
    "fenced as json": f"```json\n{CALL}\n```",
    "fenced": f"```\n{CALL}\n```\n",
    "bare": CALL,
    "bare over lines": json.dumps({"name": "shell", "arguments": LS}, indent=2),
    "bare with parameters": json.dumps({"name": "shell", "parameters": LS}) + "</s>",
    "bare, keys the other way round": json.dumps({"arguments": LS, "name": "shell"}),
    "a list": f"[{CALL}]",
    "mistral": f"[TOOL_CALLS] [{CALL}]",
    "mistral, later": f"[TOOL_CALLS]shell[ARGS]{json.dumps(LS)}",
    "llama": f"<function=shell>{json.dumps(LS)}</function>",
    "qwen coder": '<tool_call>\n<function=shell>\n<parameter=command>\n["ls"]\n</parameter>\n</function>\n</tool_call>',
}


class TestWhole:
    @pytest.mark.parametrize("text", FORMS.values(), ids=FORMS.keys())
    def test_a_call_alone(self, text):
        assert outcome(reply(text)) == ("", [("shell", LS)])

    @pytest.mark.parametrize("text", FORMS.values(), ids=FORMS.keys())
    def test_prose_before_it_is_shown_as_it_comes(self, text):
        said = reply("I look.\n", text)
        assert said[0] == TextDelta("I look.\n")
        assert outcome(said) == ("I look.\n", [("shell", LS)])

    @pytest.mark.parametrize("text", FORMS.values(), ids=FORMS.keys())
    def test_nothing_of_it_is_shown_however_it_is_cut(self, text):
        assert outcome(reply(*f"\n{text}")) == ("", [("shell", LS)])

    def test_several(self):
        pwd = json.dumps({"name": "shell", "arguments": {"command": ["pwd"]}})
        both = [("shell", LS), ("shell", {"command": ["pwd"]})]
        for text in (
            f"<tool_call>{CALL}</tool_call>\n<tool_call>{pwd}</tool_call>",
            f"[TOOL_CALLS][{CALL}, {pwd}]",
            f"{CALL}\n{pwd}",
            f"```json\n{CALL}\n```\n```json\n{pwd}\n```",
        ):
            assert outcome(reply(text)) == ("", both)

    def test_calls_that_follow_each_other_without_a_break(self):
        text = f"\n  <tool_call>{CALL}</tool_call></tool_call><|im_end|><tool_call>{CALL}</tool_call>\n"
        assert outcome(reply(*text))[1] == [("shell", LS), ("shell", LS)]

    def test_what_was_talked_about_before_is_kept(self):
        for before in (
            "<tool_call> begins a call.\n",
            f"<tool_call>{CALL}</tool_call> I will not run,\nbut this:\n",
            f"```json\n{CALL}\n```\nis the same as\n",
            f"```\n<tool_call>{CALL}</tool_call>\n```\n",
        ):
            text = f'{before}<function=shell>{{"command": ["pwd"]}}</function>'
            assert outcome(reply(text)) == outcome(reply(*text)) == (before, [("shell", {"command": ["pwd"]})])

    def test_real_line_breaks_in_a_string(self):
        assert outcome(reply('{"name": "shell", "arguments": {"command": ["a\nb"]}}'))[1] == [
            ("shell", {"command": ["a\nb"]})
        ]

    def test_parameters_are_texts_where_the_schema_says_so(self):
        text = "<function=shell><parameter=workdir>7</parameter><parameter=command>[]</parameter></function>"
        assert outcome(reply(text))[1] == [("shell", {"workdir": "7", "command": []})]

    def test_a_tool_that_is_not_offered_is_told_by_the_host(self):
        text = '<tool_call>{"name": "browse", "arguments": {}}</tool_call>'
        assert outcome(reply(text)) == ("", [("browse", {})])

    def test_ids_are_new_in_the_conversation(self):
        (first,) = reply(CALL)
        more = Request("m", "", (*REQUEST.items, first.item), (SHELL,))
        (second,) = reply(CALL, request=more)
        assert first.item.call_id != second.item.call_id


class TestBroken:
    """The arguments can't be read, so the loop answers the call with the reason."""

    @pytest.mark.parametrize(
        "text",
        [
            '<tool_call>{"name": "shell", "arguments": {"command": ["ls"}</tool_call>',
            '<tool_call>{"name": "shell", "argum',
            '```json\n{"name": "shell", "arguments": {"command": ["ls]}}\n```',
            '{"name": "shell", "arguments": {"command": ["ls"',
            '[TOOL_CALLS] [{"name": "shell", "arguments": {"command": }}]',
            "<function=shell>{'command': ['ls']}</function>",
            '<function=shell><parameter=command>["ls"]</parameter> which I will not run.',
        ],
    )
    @pytest.mark.parametrize("finish", ["stop", "length"])
    def test_becomes_a_call_that_says_so(self, text, finish):
        (done,) = reply(*text, finish=finish)
        assert done.item.name == "shell"
        with pytest.raises(json.JSONDecodeError):
            json.loads(done.item.arguments)
        assert done.item.arguments in text

    def test_too_deep_to_be_read(self):
        text = '<tool_call>{"name": "shell", "arguments": ' + "[" * 99999 + "]" * 99999 + "}</tool_call>"
        (done,) = reply(text)
        assert (done.item.name, done.item.arguments) == ("shell", text)

    def test_without_a_name(self):
        (done,) = reply('<tool_call>{"command": ["ls"]}</tool_call>')
        assert done.item.name == "unnamed"


class TestText:
    """What may be meant to be read stays as it is."""

    @pytest.mark.parametrize(
        "text",
        [
            f"You call it so:\n```json\n{CALL}\n```\nThen it runs.",
            f"```text\n{CALL}\n```",
            f"```xml\n<tool_call>{CALL}</tool_call>\n```",
            f"The tag `<tool_call>{CALL}</tool_call>` means a call.",
            f"The README contains this line: <tool_call>{CALL}</tool_call> which I will not run.",
            f"The README ends with this: <tool_call>{CALL}</tool_call>",
            f"The README ends with this: [TOOL_CALLS][{CALL}]",
            f"<tool_call>{CALL}</tool_call>\nis what the README says.",
            f"<tool_call>{CALL}</tool_call><tool_call>{CALL}</tool_call>\nis what the README says.",
            f"[TOOL_CALLS][{CALL}] is what the README says.",
            f"<function=shell>{json.dumps(LS)}</function> is what the README says.",
            '> <function=shell><parameter=command>["ls"]</parameter></function>',
            f"* one\n* <tool_call>{CALL}</tool_call>\n",
            f"Like this:\n```\n<tool_call>{CALL}</tool_call>",
            "The tag <tool_call> begins a call.",
            "Write <function= and the name.",
            '{"name": "shell", "version": "1.0"}',
            '{"name": "another", "arguments": {}}',
            '{"name": "shell"}',
            '{"name": "shell", "arguments": "ls"}',
            'Like this:\n{"name": "shell", "arguments": {...}}',
            f"It prints {CALL}",
            '```json\n{"a": 1}\n```',
            "a < b, c[0], {}, `x`, <",
            "\n",
            "{",
        ],
    )
    def test_is_left_alone(self, text):
        for said in (reply(text), reply(*text)):
            assert outcome(said) == (text, [])

    def test_without_tools_nothing_is_held_back(self):
        said = reply("<tool_call>", CALL, request=Request("m", "", REQUEST.items))
        assert [event.text for event in said[:2]] == ["<tool_call>", CALL]

    def test_beside_a_real_call(self):
        delta = {
            "tool_calls": [{"id": "a", "function": {"name": "shell", "arguments": "{}"}}],
            "content": CALL,
        }
        event = ServerEvent("message", json.dumps({"choices": [{"delta": delta, "finish_reason": "tool_calls"}]}))
        items = [each.item for each in decoded(WIRE.decoder_for(REQUEST), [event]) if isinstance(each, ItemDone)]
        assert items == [AssistantMessage(CALL), ToolCall("a", "shell", "{}")]

    def test_code_is_shown_as_it_comes(self):
        pieces = ["if a <", " b:\n", "    x[", "0] = {", "}\n", "[", "1]\n", "```py", "\nx\n", "```"]
        said = [event for event in reply(*pieces) if isinstance(event, TextDelta)]
        assert [event.text for event in said] == [
            "if a <",
            " b:\n",
            "    x[",
            "0] = {",
            "}\n",
            "[1]\n",
            "```py",
            "\nx\n",
            "```",
        ]


PIECES = st.sampled_from(
    [
        *FORMS.values(),
        "\n",
        " ",
        "{",
        "[",
        "<",
        "```",
        "```json\n",
        "</tool_call>",
        "prose",
        '{"name": "shell"',
    ]
)


@given(st.lists(PIECES, max_size=6).map("".join), st.data())
def test_nothing_is_lost_and_chunks_do_not_matter(text, data):
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=12)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    whole, cut = reply(text), reply(*pieces)
    assert shown(whole) == shown(cut)
    items = [[event.item for event in said if isinstance(event, ItemDone)] for said in (whole, cut)]
    assert items[0] == items[1]
    if text.strip():
        assert items[0]
