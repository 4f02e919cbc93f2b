import fcntl
import json
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import codex_recorder_history
import pytest
from codex_recorder_history import HistoryRecorder, codex_recorder

from codex_host.config import Config
from codex_host.errors import CodexError
from codex_host.events import MessageDone, SessionStarted, TaskStarted
from codex_host.testing.recorder import EVENTS, RecorderContract


class TestHistory(RecorderContract):
    module = codex_recorder_history
    name = "history"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "codex home" / "history.jsonl"


def recorder(path):
    made = HistoryRecorder(path)
    made.record(SessionStarted("0b6e", "m", "p", Path("/project"), "never", (), None))
    return made


def test_a_prompt_is_one_line_in_the_documented_order(path):
    before = int(time.time())
    recorder(path).record(TaskStarted("1", "two\nlines, é"))
    [line] = path.read_text(encoding="utf-8").splitlines()
    entry = json.loads(line)
    assert list(entry) == ["session_id", "ts", "text"]
    assert entry["session_id"] == "0b6e"
    assert before <= entry["ts"] <= time.time()
    assert entry["text"] == "two\nlines, é"
    assert "é" in line


def test_only_prompts_are_recorded(path):
    made = HistoryRecorder(path)
    for event in (*EVENTS, MessageDone("said"), TaskStarted("3", " \n")):
        made.record(event)
    assert len(path.read_text().splitlines()) == 1


def test_nobody_else_may_read_it(path):
    recorder(path).record(TaskStarted("1", "secret"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_others_can_read_is_made_private(path):
    path.parent.mkdir()
    path.write_text("old\n")
    path.chmod(0o644)
    recorder(path).record(TaskStarted("1", "new"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("old\n{")


def test_a_torn_line_does_not_spoil_the_next(path):
    path.parent.mkdir()
    path.write_text('{"session_id": "x", "te')
    recorder(path).record(TaskStarted("1", "new"))
    assert json.loads(path.read_text().splitlines()[1])["text"] == "new"


def test_waits_for_a_lock_but_not_for_ever(path):
    made = recorder(path)
    made.record(TaskStarted("1", "first"))
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(CodexError, match=r"history\.jsonl: another program has locked it"):
            made.record(TaskStarted("2", "lost"))
        release = threading.Timer(0.3, fcntl.flock, (other, fcntl.LOCK_UN))
        release.start()
        made.record(TaskStarted("3", "third"))
        release.join()
    assert [json.loads(line)["text"] for line in path.read_text().splitlines()] == ["first", "third"]


def test_a_file_that_cannot_be_written_is_named(path):
    path.mkdir(parents=True)
    with pytest.raises(CodexError, match=r"history\.jsonl"):
        recorder(path).record(TaskStarted("1", "lost"))


WRITES_MANY = """
import sys
from pathlib import Path
from codex_host.events import TaskStarted
from codex_recorder_history import HistoryRecorder

recorder = HistoryRecorder(Path(sys.argv[1]))
for number in range(50):
    recorder.record(TaskStarted(str(number), "x" * 10_000))
"""


def test_sessions_in_several_processes_share_the_file(path):
    command = [sys.executable, "-c", WRITES_MANY, str(path)]
    children = [subprocess.Popen(command) for _ in range(4)]
    assert [child.wait() for child in children] == [0] * 4
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(entries) == 200


def test_can_be_switched_off(tmp_path):
    assert codex_recorder("history", Config(home=tmp_path, history_persistence="none")) is None
