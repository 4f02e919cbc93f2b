import json
import sys
from dataclasses import replace

import codex_notifier_command
import pytest
from codex_notifier_command import codex_notifier, notification

from codex_host.config import Config
from codex_host.errors import CodexError
from codex_host.events import Ending, EndingKind, TaskEnded
from codex_host.testing.notifier import NotifierContract

ANSWERED = TaskEnded("12345", ("Rename `foo`.", "And é."), Ending(EndingKind.ANSWERED, "Done \U0001f600", 0))
WRITES = "import sys; open(sys.argv[1], 'w').write('\\n'.join(sys.argv[2:]))"


class TestCommand(NotifierContract):
    module = codex_notifier_command
    name = "command"

    def configure(self, home):
        return Config(home=home, notify=(sys.executable, "-c", "pass"))


def test_the_program_gets_the_notification_as_its_last_argument(tmp_path):
    heard = tmp_path / "heard"
    config = Config(home=tmp_path, notify=(sys.executable, "-c", WRITES, str(heard), "--fixed"))
    codex_notifier("command", config).notify(ANSWERED)
    fixed, told = heard.read_text().split("\n")
    assert fixed == "--fixed"
    assert json.loads(told) == {
        "type": "agent-turn-complete",
        "turn-id": "12345",
        "input-messages": ["Rename `foo`.", "And é."],
        "last-assistant-message": "Done \U0001f600",
    }


@pytest.mark.parametrize("kind", set(EndingKind) - {EndingKind.ANSWERED})
def test_other_endings_start_nothing(tmp_path, kind):
    notifier = codex_notifier("command", Config(home=tmp_path, notify=("/no/such/program",)))
    notifier.notify(replace(ANSWERED, ending=Ending(kind, "no", 1)))


def test_a_missing_program_is_named(tmp_path):
    notifier = codex_notifier("command", Config(home=tmp_path, notify=("/no/such/program",)))
    with pytest.raises(CodexError, match="/no/such/program"):
        notifier.notify(ANSWERED)


def test_without_a_program_there_is_no_notifier(tmp_path):
    assert codex_notifier("command", Config(home=tmp_path)) is None


def test_an_empty_answer_is_null():
    event = replace(ANSWERED, ending=Ending(EndingKind.ANSWERED, "", 0))
    assert json.loads(notification(event))["last-assistant-message"] is None


@pytest.mark.parametrize("text", ["x" * 1_000_000, "\0" * 100_000, "\U0001f600" * 100_000])
def test_long_texts_are_cut_to_what_an_argument_can_hold(text):
    event = TaskEnded("1", ("short", text), Ending(EndingKind.ANSWERED, text, 0))
    told = notification(event)
    assert len(told) < 128 * 1024
    assert told.isascii()
    data = json.loads(told)
    assert data["input-messages"][0] == "short"
    assert data["last-assistant-message"].endswith("…")
    assert len(data["last-assistant-message"]) > 3000
