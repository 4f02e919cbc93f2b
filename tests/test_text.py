"""Text for a terminal: nothing in it is obeyed, nothing a person decides on is hidden."""

import re
import shlex

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from codex_host.text import command_line, duration, neutralise, shorten, visible

OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff\ud800-\udfff]"
)
NASTY = st.text(
    st.sampled_from("ab1;[]m?\\PX^_ \t\n\r\x07\x08\x1b\x7f\x85\x9b\x9c\x9d\u202e\u2066\u2028\ufeff\ud800é漢")
)


class TestNeutralise:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("plain é 漢 👩‍👩‍👧\ttab\nline", "plain é 漢 👩‍👩‍👧\ttab\nline"),
            ("\x1b[31mred\x1b[0m", "red"),
            ("a\x1b[2K\x1b[1Gb\x1b[?25l", "ab"),
            ("\x1b]0;title\x07x\x1b]52;c;aGk=\x1b\\y", "xy"),
            ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1bPsixel\x1b\\x\x1b_app\x1b\\y\x1b^pm\x1b\\z\x1bXsos\x1b\\", "xyz"),
            ("\x1b]0;never ends\nnext", "0;never ends\nnext"),
            ("\x1bc\x1b(Bx", "x"),
            ("1%\r2%\r\n3", "1%\n2%\n3"),
            ("a\x08b\x07", "a\ufffdb\ufffd"),
            ("\x9b31mx", "\ufffd31mx"),
            ("safe\u202eelif", "safe\ufffdelif"),
            ("\ud800", "\ufffd"),
            ("", ""),
        ],
    )
    def test_what_a_terminal_would_obey_is_gone(self, text, shown):
        assert neutralise(text) == shown

    @given(NASTY | st.text())
    @example("\x1b\x1b[31m[31m")
    def test_nothing_is_left_to_obey(self, text):
        shown = neutralise(text)
        assert not OBEYED.search(shown)
        assert neutralise(shown) == shown
        shown.encode()

    def test_costs_what_the_length_costs(self):
        neutralise("\x1b]" * 100_000 + "\x1b[" * 100_000 + "\x1b[0;" + "1" * 100_000)


class TestVisible:
    def test_spells_out_what_would_be_obeyed(self):
        assert visible("ls \x1b[8mhidden\x1b[0m\r\u202e") == r"ls \x1b[8mhidden\x1b[0m\r\u202e"
        assert visible("two\nlines\té") == "two\nlines\té"

    @given(NASTY | st.text())
    def test_hides_and_drops_nothing(self, text):
        shown = visible(text)
        assert not OBEYED.search(shown)
        assert len(shown) >= len(text)
        kept = OBEYED.sub("", text)
        assert all(character in shown for character in kept)


class TestShorten:
    @pytest.mark.parametrize(
        ("text", "limit", "shown"),
        [
            ("short", 5, "short"),
            ("longer", 5, "long…"),
            ("two\n  lines", 20, "two lines"),
            ("x", 0, ""),
            ("xy", 1, "…"),
            ("", 3, ""),
        ],
    )
    def test_one_line_of_at_most_that_many(self, text, limit, shown):
        assert shorten(text, limit) == shown

    @given(st.text(), st.integers(0, 20))
    def test_never_longer(self, text, limit):
        shown = shorten(text, limit)
        assert len(shown) <= limit
        assert "\n" not in shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0ms"),
        (0.25, "250ms"),
        (0.9994, "999ms"),
        (0.9996, "1.00s"),
        (1.5, "1.50s"),
        (59.999, "60.00s"),
        (59.9996, "1m00s"),
        (75, "1m15s"),
        (3600, "60m00s"),
    ],
)
def test_durations(seconds, shown):
    assert duration(seconds) == shown


class TestCommandLine:
    def test_as_it_would_be_typed(self):
        assert command_line(["echo", "a b", "it's"]) == shlex.join(["echo", "a b", "it's"])
        assert command_line([]) == ""

    @pytest.mark.parametrize("shell", ["bash", "sh", "/bin/bash", "/bin/sh"])
    @pytest.mark.parametrize("option", ["-lc", "-c"])
    def test_of_a_shell_only_the_script(self, shell, option):
        assert command_line([shell, option, "ls | wc"]) == "ls | wc"

    def test_nothing_is_hidden(self):
        assert command_line(["bash", "-lc", "ls\x1b[8m; rm"]) == r"ls\x1b[8m; rm"
        assert command_line(["bash", "-lc", "ls", "more"]) == "bash -lc ls more"
        assert command_line(["other", "-c", "ls"]) == "other -c ls"
        assert r"\u202e" in command_line(["echo", "\u202e"])
