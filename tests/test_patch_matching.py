"""Finding hunks in lines, and the text and the diff that come of it."""

from __future__ import annotations

import difflib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codex_host._patch_diff import unified_diff
from codex_host._patch_matching import Document, apply_hunks
from codex_host.actions import Hunk
from codex_host.errors import PatchError


def patched(text: str, *hunks: Hunk) -> str:
    return apply_hunks(Document.of(text), hunks, "f.py").text


def failure(text: str, *hunks: Hunk) -> str:
    with pytest.raises(PatchError) as caught:
        patched(text, *hunks)
    return str(caught.value)


def hunk(body: str, *context: str, at_end: bool = False) -> Hunk:
    """A hunk from the lines of a patch, e.g. " same|-gone|+new"."""
    lines = body.split("|") if body else []
    return Hunk(
        tuple(line[1:] for line in lines if line[0] != "+"),
        tuple(line[1:] for line in lines if line[0] != "-"),
        context,
        at_end,
    )


def test_replaces_first_middle_and_last_line():
    text = "a\nb\nc\nd\ne\n"
    assert patched(text, hunk("-a|+A| b"), hunk("-c|+C"), hunk(" d|-e|+E")) == "A\nb\nC\nd\nE\n"


@pytest.mark.parametrize(
    ("line", "quoted"),
    [
        ("x = 1", "x = 1"),
        ("x = 1  \t", "x = 1"),
        ("    x = 1", "x = 1"),
        ("x = \u201cone\u201d \u2014 two\u00a0three", 'x = "one" - two three'),
    ],
)
def test_each_pass_finds_its_line_and_context_keeps_the_file_s_own_text(line, quoted):
    assert patched(f"top\n{line}\nend\n", hunk(f" {quoted}|-end|+END")) == f"top\n{line}\nEND\n"


def test_a_stricter_pass_wins_over_an_earlier_line():
    assert patched("  x\nx\n", hunk("-x|+y")) == "  x\ny\n"


def test_hunks_are_sought_in_order_each_below_the_one_before():
    assert patched("x\nx\nx\n", hunk("-x|+1"), hunk("-x|+2")) == "1\n2\nx\n"
    text = failure("a\nb\n", hunk("-b|+B"), hunk("-a|+A"))
    assert "hunk 2 of 2" in text
    assert "line 1, above line 3" in text


def test_several_context_lines_lead_to_the_place():
    text = "class A:\n  def f():\n    pass\nclass B:\n  def g():\n    pass\n  def f():\n    pass\n"
    result = patched(text, hunk("-    pass|+    return", "class B:", "def f():"))
    assert result == text[: text.rindex("    pass")] + "    return\n"


def test_a_hunk_may_repeat_its_context_line():
    assert patched("def f():\n    a\n", hunk(" def f():|-    a|+    b", "def f():")) == "def f():\n    b\n"


def test_insertion_goes_after_the_context_else_to_the_end():
    assert patched("a\nb\n", hunk("+x", "a")) == "a\nx\nb\n"
    assert patched("a\nb\n", hunk("+x")) == "a\nb\nx\n"
    assert patched("a\nb\n", hunk("+x"), hunk("-a|+A")) == "A\nb\nx\n"
    assert patched("a\nb\n", hunk("+x", "a", at_end=True)) == "a\nb\nx\n"
    assert patched("", hunk("+x")) == "x\n"


def test_at_end_looks_only_there():
    assert patched("x\nx\n", hunk("-x|+y", at_end=True)) == "x\ny\n"
    assert "not at the end of the file (line 2)" in failure("x\nz\n", hunk("-x|+y", at_end=True))


def test_empty_last_lines_may_be_missing_from_the_file():
    assert patched("a\nb\n", hunk("-a|+A| b| ")) == "A\nb\n"
    assert patched("a\nb\n", hunk("-a|+A| b| | ")) == "A\nb\n"
    assert patched("a\n\nb\n", hunk("-a|+A| ")) == "A\n\nb\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\r\nc\r\n", "a\r\nB\r\nnew\r\nc\r\n"),
        ("a\r\nb\nc\r\n", "a\r\nB\nnew\nc\r\n"),
        ("\ufeffa\nb\nc\n", "\ufeffa\nB\nnew\nc\n"),
        ("a\nb\nc", "a\nB\nnew\nc"),
        ("a\u2028\nb\nc\x0b\n", "a\u2028\nB\nnew\nc\x0b\n"),
    ],
)
def test_endings_byte_order_mark_and_final_newline_stay(text, expected):
    assert patched(text, hunk(" a|-b|+B|+new| c")) == expected


def test_a_changed_last_line_is_a_whole_line():
    assert patched("a\nb", hunk("-b|+B")) == "a\nB\n"
    assert patched("a\r\nb", hunk(" b|+c")) == "a\r\nb\r\nc\r\n"
    assert patched("a", hunk("-a")) == ""


def test_a_mismatch_names_what_was_expected_and_how_the_nearest_place_differs():
    text = "".join(f"line {number}\n" for number in range(50)) + "def f():\n    return 2\n"
    message = failure(text, hunk(" def f():|-    return 1|+    return 3"))
    assert message.startswith("f.py: the hunk does not match")
    assert "Expected:\n  def f():\n      return 1" in message
    assert "nearest place is line 51" in message
    assert "line 52: the file has '    return 2', the patch '    return 1'" in message
    assert "Nothing like it" in failure("a\n", hunk("-something else"))
    assert "its @@ line" in failure("a\n", hunk("-a", "class A:"))
    assert "no such line" in failure("a\nb\n", hunk(" a| b|-c"))


def test_a_mismatch_is_short():
    lines = [f"{number} {'x' * 1000}" for number in range(3000)]
    message = failure("\n".join(lines), Hunk(tuple(f"{line}!" for line in lines), ()))
    assert len(message) < 3000
    assert "2992 more lines" in message


def test_a_similar_line_is_near():
    assert "line 2: the file has 'def handle(request, user):'" in failure(
        "import os\ndef handle(request, user):\n", hunk("-def handle(request):|+x")
    )


def test_a_thousand_hunks_in_a_hundred_thousand_lines_take_little_time():
    lines = [f"{' ' * (number % 7)}line {number // 3}" for number in range(100_000)]
    hunks = []
    for number in range(50, 100_000, 100):
        quoted = [line.strip() for line in lines[number - 3 : number + 4]]  # found in the third pass only
        hunks.append(Hunk(tuple(quoted), (*quoted[:3], f"new {number}", *quoted[4:])))
    text = "\n".join(lines) + "\n"
    start = time.perf_counter()
    document = apply_hunks(Document.of(text), hunks, "big")
    diff = unified_diff(Document.of(text), document)
    assert time.perf_counter() - start < 2
    assert sum(line.text.startswith("new ") for line in document.lines) == 1000
    assert len(diff) < 300_000
    assert diff.endswith("more lines are not shown ...\n")


def test_the_diff_is_a_unified_one():
    before = Document.of("".join(f"{number}\n" for number in range(20)) + "end")
    after = apply_hunks(before, [hunk("-1|+one"), hunk(" 10|+x"), hunk("-end|+END")], "f")
    assert unified_diff(before, after).splitlines() == [
        "@@ -1,5 +1,5 @@", " 0", "-1", "+one", " 2", " 3", " 4",
        "@@ -9,6 +9,7 @@", " 8", " 9", " 10", "+x", " 11", " 12", " 13",
        "@@ -18,4 +19,4 @@", " 17", " 18", " 19", "-end", "\\ No newline at end of file", "+END",
    ]  # fmt: skip
    assert unified_diff(Document(()), Document.of("a\nb\n", fresh=True)) == "@@ -0,0 +1,2 @@\n+a\n+b\n"
    assert unified_diff(Document.of("a\n"), Document(())) == "@@ -1 +0,0 @@\n-a\n"


_line = st.text(st.sampled_from("ab \t}'\u2019\u00a0\u2028\x0b"), max_size=3)
_lines = st.lists(_line, max_size=12)


@st.composite
def _two_texts(draw):
    """A text and another one that shares lines with it."""
    old = draw(_lines)
    new = [line for line in old if draw(st.booleans())]
    for line in draw(_lines):
        new.insert(draw(st.integers(0, len(new))), line)
    return old, new


def _hunks_of(old: list[str], new: list[str], context: int) -> list[Hunk]:
    hunks = []
    for group in difflib.SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(context):
        begin, end = group[0], group[-1]
        # All lines above as context of the hunk: without it a difference has no certain place.
        hunks.append(Hunk(tuple(old[begin[1] : end[2]]), tuple(new[begin[3] : end[4]])))
    return hunks


@settings(max_examples=200, deadline=None)
@given(_two_texts(), st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", "\ufeff"]))
def test_the_difference_of_two_texts_applies_exactly(texts, ending, bom):
    old, new = texts
    if old == new:
        return
    before, after = (bom + "".join(line + ending for line in lines) for lines in texts)
    if not old:
        ending, after = "\n", bom + "".join(line + "\n" for line in new)
    hunks = _hunks_of(old, new, len(old) + len(new))  # one hunk that quotes the whole file
    document = apply_hunks(Document.of(before), hunks, "f")
    assert document.text == after


@settings(max_examples=200, deadline=None)
@given(_two_texts(), st.integers(0, 3), st.booleans())
def test_hunks_apply_exactly_where_lines_are_unique(texts, context, final_newline):
    old, new = ([f"{number}:{line}" for number, line in enumerate(lines)] for lines in texts)
    shared = {line[2:]: line for line in old}
    new = list(dict.fromkeys(shared.get(line[2:], line) for line in new))
    hunks = [found for found in _hunks_of(old, new, context) if found.old]
    if len(hunks) != len(_hunks_of(old, new, context)):
        return  # an insertion without context has no place in the language
    before = "\n".join(old) + ("\n" if final_newline and old else "")
    after = "".join(f"{line}\n" for line in new)
    document = apply_hunks(Document.of(before), hunks, "f")
    assert document.text.removesuffix("\n") == after.removesuffix("\n")
    if not hunks:
        assert document.text == before
    _check_diff(before, document)


def _check_diff(before: str, document: Document) -> None:
    """Rebuild the new lines from the old ones and the diff."""
    old = [line.text for line in Document.of(before).lines]
    result: list[str] = []
    position = 0
    for line in unified_diff(Document.of(before), document).split("\n")[:-1]:
        if line.startswith("@@"):
            first, _, count = line.split()[1][1:].partition(",")
            start = int(first) - (count != "0")
            result += old[position:start]
            position = start
        elif line[0] in " -":
            assert old[position] == line[1:]
            position += 1
        if line[0] in " +":
            result.append(line[1:])
    assert result + old[position:] == [line.text for line in document.lines]
