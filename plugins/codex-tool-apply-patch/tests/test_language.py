"""The patch language, strict and lenient, and its errors."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from codex_tool_apply_patch._language import parse
from codex_tool_apply_patch._recognition import recognise
from hypothesis import given, settings
from hypothesis import strategies as st

from codex_host.actions import AddFile, DeleteFile, Exec, Hunk, Patch, UpdateFile
from codex_host.errors import ToolError

CWD = Path("/project")


def changes(*lines: str):
    return parse("\n".join(["*** Begin Patch", *lines, "*** End Patch"]), CWD).changes


def error(text: str) -> str:
    with pytest.raises(ToolError) as caught:
        parse(text, CWD)
    return str(caught.value)


def wrong(*lines: str) -> str:
    return error("\n".join(["*** Begin Patch", *lines, "*** End Patch"]))


def test_every_section():
    assert changes(
        "*** Add File: a/new.txt", "+one", "+", "+two",
        "*** Add File: empty",
        "*** Delete File: /abs/old",
        "*** Update File: b",
        "*** Move to: c",
        "@@ class A",
        " same", "-gone", "+new",
        "*** Update File: d",
        "-x",
    ) == (
        AddFile(CWD / "a/new.txt", "one\n\ntwo\n"),
        AddFile(CWD / "empty", ""),
        DeleteFile(Path("/abs/old")),
        UpdateFile(CWD / "b", (Hunk(("same", "gone"), ("same", "new"), ("class A",)),), CWD / "c"),
        UpdateFile(CWD / "d", (Hunk(("x",), ()),)),
    )  # fmt: skip


def hunks(*lines: str) -> tuple[Hunk, ...]:
    (change,) = changes("*** Update File: f", *lines)
    assert isinstance(change, UpdateFile)
    return change.hunks


def test_hunks():
    assert hunks("-a", "+b", "@@", "", " c", "*** End of File", "", "@@ x", "@@   y", "+z") == (
        Hunk(("a",), ("b",)),
        Hunk(("", "c"), ("", "c"), at_end=True),
        Hunk((), ("z",), ("x", "  y")),
    )
    assert hunks("@@ ", "-a") == (Hunk(("a",), ()),)


def test_a_gap_after_additions_is_no_context():
    assert hunks("+a", "", "@@ x", "+b", "", "") == (Hunk((), ("a",)), Hunk((), ("b",), ("x",)))
    assert hunks("-a", "") == (Hunk(("a", ""), ("",)),)


def test_a_pure_rename():
    assert changes("*** Update File: a", "*** Move to: b") == (UpdateFile(CWD / "a", (), CWD / "b"),)
    assert changes("*** Update File: a", "*** Move to: b", "", "*** Delete File: c")[1:] == (DeleteFile(CWD / "c"),)


def test_an_empty_patch_is_left_to_the_host():
    assert changes() == ()


def test_careless_forms():
    plain = parse("*** Begin Patch\n*** Update File: a b\n@@ c\n-x\n+y\n*** End Patch", CWD)
    for text in (
        "\n\n  *** Begin Patch  \n *** Update File:  a b \n@@ c\n-x\n+y\n *** End Patch \n\n",
        "*** Begin Patch\r\n*** Update File: a b\r\n@@ c\r\n-x\r\n+y\r\n*** End Patch\r\n",
        "*** Begin Patch\n*** Update File: a b\n@@ c\r\n-x\r\n+y\r\n*** End Patch",
        "<<EOF\n*** Begin Patch\n*** Update File: a b\n@@ c\n-x\n+y\n*** End Patch\nEOF",
        "<<'EOF'\n*** Begin Patch\n*** Update File: a b\n@@ c\n-x\n+y\n*** End Patch\n\nEOF\n",
        'apply_patch <<"END"\n*** Begin Patch\n*** Update File: a b\n@@ c\n-x\n+y\n*** End Patch\nEND\n',
    ):
        assert parse(text, CWD) == plain, text


def test_crlf_of_a_new_file_is_kept_unless_all_lines_have_it():
    assert changes("*** Add File: a", "+x\r") == (AddFile(CWD / "a", "x\r\n"),)
    whole = parse("*** Begin Patch\r\n*** Add File: a\r\n+x\r\n*** End Patch", CWD)
    assert whole.changes == (AddFile(CWD / "a", "x\n"),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1: the first line"),
        ("*** Begin patch\n*** End Patch", "line 1: the first line"),
        ("*** Begin Patch", "line 1: the last line"),
        ("*** Begin Patch\n*** Delete File: a", "line 2: the last line"),
        ("<<EOF\n*** Begin Patch\n*** Oops\n*** End Patch\nEOF", "line 3: '*** Oops'"),
        ("<<EOF\nEOF", "line 2: the first line"),
    ],
)
def test_a_wrong_frame(text, reason):
    assert f"invalid patch, {reason}" in error(text)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["*** Bad: a"], "line 2: '*** Bad: a' begins no section"),
        (["*** add file: a"], "'*** Add File: PATH'"),
        (["*** Add File: "], "line 2: there is no path"),
        (["*** Add File: a\0b"], "line 2: there is no path"),
        (["*** Delete File: a", "+x"], "line 3: '+x' begins no section"),
        (["*** Update File: a"], "line 2: no hunk follows '*** Update File: a'"),
        (["*** Update File: a", "", "", "*** Delete File: b"], "no hunk follows"),
        (["*** Update File: a", "*** Move to:"], "line 3: there is no path"),
        (["*** Update File: a", "@@ x"], "line 4: the end of the patch"),
        (["*** Update File: a", "@@", "*** End of File"], "line 4: '*** End of File'"),
        (["*** Update File: a", "plain"], "line 3: 'plain'"),
        (["*** Update File: a", "-x", "plain"], "line 4: 'plain': a hunk's line begins with"),
        (["*** Update File: a", "-x", "*** End of File", "-y"], "line 5: '-y': a hunk's line"),
    ],
)
def test_errors_name_the_line(lines, reason):
    assert reason in wrong(*lines)


_piece = st.sampled_from(
    [
        "*** Begin Patch", "*** End Patch", "*** Add File: a", "*** Delete File: a", "*** Update File: a",
        "*** Move to: b", "*** End of File", "***", "@@", "@@ x", " x", "+x", "-x", "", " ", "\t",
        "\r", "<<EOF", "EOF", "apply_patch <<'EOF'", "cd x &&",
    ]
)  # fmt: skip
_text = st.one_of(
    st.text(max_size=40),
    st.lists(st.one_of(_piece, st.text(max_size=6)), max_size=12).map("\n".join),
    st.lists(_piece, max_size=12).map(lambda lines: "\n".join(["*** Begin Patch", *lines, "*** End Patch"])),
)


@settings(max_examples=200, deadline=None)
@given(_text)
def test_no_input_crashes_the_parser(text):
    _check(lambda: parse(text, CWD))
    _check(lambda: recognise(Exec(("bash", "-lc", text), CWD)))
    for form in (
        "apply_patch <<EOF\n{}\nEOF",
        "apply_patch '{}'",
        'apply_patch "{}"',
        'apply_patch "$(cat <<EOF\n{}',
    ):
        _check(lambda form=form: recognise(Exec(("bash", "-c", form.format(text)), CWD)))


def _check(work):
    """It returns or raises what it may."""
    with contextlib.suppress(ToolError):
        result = work()
        assert result is None or isinstance(result, Patch)


_line = st.text(st.characters(blacklist_characters="\n\r", blacklist_categories=["Cs"]), max_size=6)
_name = st.from_regex(r"[a-z./]{0,5}[a-z]", fullmatch=True)


@settings(max_examples=200, deadline=None)
@given(_name, st.lists(_line, max_size=6))
def test_new_files_are_read_exactly(name, lines):
    assert changes(f"*** Add File: {name}", *(f"+{line}" for line in lines)) == (
        AddFile(CWD / name, "".join(f"{line}\n" for line in lines)),
    )
