import json
import re
from pathlib import Path

import codex_instructions_base

from codex_host.parts import Instructions
from codex_host.testing.instructions import InstructionsContract


class TestBase(InstructionsContract):
    module = codex_instructions_base
    name = "base"


def prompt():
    part = codex_instructions_base.codex_instructions("base")
    return part.text(Path("/nowhere"), 0)


def test_is_first_and_small():
    assert codex_instructions_base.BaseInstructions.rank == Instructions.BASE
    assert len(prompt().encode()) <= 5632
    assert len(json.dumps(prompt()).encode()) <= 6000


def test_is_plain_ascii_without_trailing_blanks():
    assert prompt().isascii()
    assert not re.search(r"[ \t]$", prompt(), re.MULTILINE)


def test_shows_every_form_of_a_patch():
    [example] = re.findall(r"```\n(\*\*\* Begin Patch\n.*?\*\*\* End Patch)\n```", prompt(), re.DOTALL)
    for header in ("Add File: ", "Delete File: ", "Update File: ", "Move to: "):
        assert f"\n*** {header}" in example
    for line in example.splitlines():
        assert re.match(r"\*\*\* |@@|[ +-]", line), line


def test_its_calls_are_valid_json():
    calls = re.findall(r"`(\{.*?\})`", prompt())
    assert [set(json.loads(call)) for call in calls] == [{"command", "workdir", "timeout"}, {"input"}]
