import re

import pytest
from codex_tool_shell._excerpt import Limits, excerpt
from hypothesis import given
from hypothesis import strategies as st

from codex_host.actions import Output


def whole(text):
    return Output(text, total=len(text.encode("utf-8", "replace")))


@pytest.mark.parametrize("text", ["", "a", "a\n", "é" * 5120, "x\n" * 256, "x\n" * 255 + "y"])
def test_what_fits_stays_as_it_is(text):
    assert excerpt(whole(text), Limits()) == text


def test_a_flood_keeps_its_beginning_and_its_end():
    text = "begin\n" + "y\n" * 1_000_000 + "error: end\n"
    shown = excerpt(whole(text), Limits())
    assert shown.startswith("begin\ny\n")
    assert shown.endswith("y\nerror: end\n")
    assert shown.count("\n") == 256
    [missing] = re.findall(r"\n\[\.\.\. (\d+) bytes left out \.\.\.\]\n", shown)
    kept = re.sub(r"\[\.\.\. .*\n", "", shown)
    assert int(missing) == len(text) - len(kept)


def test_what_the_host_left_out_is_counted():
    shown = excerpt(Output("head\n", "tail\n", total=1_000_010, left_out=1_000_000), Limits())
    assert shown == "head\n[... 1000000 bytes left out ...]\ntail\n"


def test_lines_stay_whole_unless_one_is_too_long():
    lines = "".join(f"line number {number}\n" for number in range(100))
    shown = excerpt(whole(lines), Limits(max_bytes=400)).splitlines()
    assert all(line in lines.splitlines() for line in shown if not line.startswith("["))
    shown = excerpt(whole("a" * 5000 + "b" * 5000), Limits(max_bytes=400))
    assert shown.startswith("aaa")
    assert shown.endswith("bbb")


@given(
    st.text(alphabet=st.sampled_from("aé\U0001f600\n\r\ud83d "), max_size=3000),
    st.integers(200, 2000),
    st.integers(4, 50),
)
def test_limits_hold_for_every_text(text, max_bytes, max_lines):
    shown = excerpt(whole(text), Limits(max_bytes, max_lines))
    assert len(shown.encode()) <= max_bytes
    assert len(shown.encode().splitlines()) <= max_lines
    if "left out" in shown:
        [missing] = re.findall(r"\[\.\.\. (\d+) bytes left out", shown)
        assert int(missing) > 0


@pytest.mark.parametrize("limits", [Limits(1, 1), Limits(1, 1000), Limits(10_000, 1), Limits(90, 2)])
def test_tiny_limits_do_no_harm(limits):
    assert "left out" in excerpt(whole("x\n" * 5000), limits)
