import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import codex_provider_replay
import pytest
from codex_provider_replay import _demo, demo
from codex_provider_replay._demo_repository import FILES

from codex_host.errors import SandboxError, WorkspaceError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no sandbox for other platforms yet")

CODEX = str(Path(sysconfig.get_path("scripts"), "codex"))
CASSETTE = Path(codex_provider_replay.__file__).with_name("demo.jsonl")
CHECKED = "Checked: the test passes now, and the file outside was not written."


@pytest.fixture
def place():
    """A short path that nobody else uses: TMPDIR of the run, so that what is left there can be seen."""
    folder = Path(tempfile.mkdtemp(prefix="demo test ")).resolve()
    yield folder
    shutil.rmtree(folder)


def environment(place, **changes):
    """The environment of a machine on which nothing was ever set up; None leaves a variable out."""
    plain = {"PATH": os.environ["PATH"], "TMPDIR": str(place), **changes}
    return {name: value for name, value in plain.items() if value is not None}


def run(place, *words, cwd=None, code=0, umask=-1, **changes):
    ended = subprocess.run(
        [CODEX, *words],
        env=environment(place, **changes),
        cwd=cwd or place,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        umask=umask,
    )
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr.replace("    Traceback", "")
    return ended


def left(place):
    return sorted(path.name for path in place.iterdir())


def test_the_whole_session(place):
    began = time.monotonic()
    ended = run(place, "demo")
    assert time.monotonic() - began < 5
    progress, said = ended.stderr, ended.stdout
    steps = [
        "exec: cat fair_share.py test_fair_share.py",
        "AssertionError: 999 != 1000",
        "exec: echo written > ../outside.txt",
        "denied: ",
        "no network: [Errno 1] Operation not permitted",
        "denied: the network",
        "+    share, left = divmod(cents, people)",
        "applied: M",
        "OK",
    ]
    positions = [progress.find(step) for step in steps]
    assert -1 not in positions, progress
    assert positions == sorted(positions)
    for failure in ("warning: ", "refused", "failed: "):
        assert f"\n{failure}" not in progress
    assert said.startswith("This plays a recorded session")
    assert "The test passes now." in said
    assert said.endswith(
        f"{CHECKED}\nRemoved {said.split('In ')[1].split(' codex')[0]}; `codex demo --keep` leaves it.\n"
    )
    assert left(place) == []


def test_keeps_the_repository_if_asked(place):
    said = run(place, "demo", "--keep").stdout
    (kept,) = place.iterdir()
    repository = kept / "repository"
    assert f"The repository is in {repository}; remove {kept}" in said
    assert "divmod" in (repository / "fair_share.py").read_text()
    assert (repository / "test_fair_share.py").read_text() == FILES["test_fair_share.py"]
    assert not (kept / "outside.txt").exists()
    status = ["git", "-C", str(repository), "status", "--short"]
    assert subprocess.run(status, capture_output=True, text=True).stdout == " M fair_share.py\n"


@pytest.mark.parametrize(
    "changes",
    [
        {"TMPDIR": None},
        {"TMPDIR": "/nowhere"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"HOME": "/nowhere"},
        {"OPENAI_DEFAULT_MODEL": "gpt-x", "OPENAI_API_KEY": "sk-wrong", "HTTPS_PROXY": "http://127.0.0.1:9"},
        {"PATH": "/usr/bin:/bin"},
    ],
    ids=" ".join,
)
def test_surroundings(place, changes):
    assert CHECKED in run(place, "demo", **changes).stdout


@pytest.mark.parametrize("umask", [0, 0o077])
def test_the_users_umask_is_no_matter(place, umask):
    assert CHECKED in run(place, "demo", umask=umask).stdout


def test_neither_uses_nor_touches_what_is_the_users(place):
    home = place / "home"
    settings = home / ".codex"
    settings.mkdir(parents=True)
    (settings / "config.toml").write_text("this is no TOML")
    (home / ".gitconfig").write_text("[commit]\ngpgsign = true\n[init]\ntemplateDir = /nowhere\n")
    subprocess.run(["git", "init", "--quiet", home / "other"], check=True)
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    git = {"GIT_DIR": str(home / "other/.git"), "GIT_INDEX_FILE": str(home / "index")}
    for changes in ({}, {"CODEX_HOME": str(settings)}, git):
        ended = run(place, "demo", HOME=str(home), **changes)
        assert CHECKED in ended.stdout
        assert "git" not in ended.stderr
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before


def test_works_from_any_folder(place):
    assert CHECKED in run(place, "demo", cwd="/").stdout
    gone = place / "gone"
    script = f'mkdir "{gone}" && cd "{gone}" && rmdir "{gone}" && exec "{CODEX}" demo'
    ended = subprocess.run(["sh", "-c", script], env=environment(place), capture_output=True, text=True, timeout=60)
    assert CHECKED in ended.stdout, ended.stderr


def test_ends_well_with_standard_output_closed(place):
    script = f'exec "{CODEX}" demo >&-'
    ended = subprocess.run(["sh", "-c", script], env=environment(place), stderr=subprocess.PIPE, text=True, timeout=60)
    assert ended.returncode == 1, ended.stderr  # the answer could not be written
    assert "standard output is closed" in ended.stderr
    assert left(place) == []


def programs_but_git(folder):
    """A PATH with what the session needs, and no git."""
    folder.mkdir()
    for program in ("sh", "bash", "cat"):
        if found := shutil.which(program):
            (folder / program).symlink_to(found)
    return str(folder)


def test_works_without_git(place):
    said = run(place, "demo", "--keep", PATH=programs_but_git(place / "bin")).stdout
    assert CHECKED in said
    (kept,) = place.glob("codex-demo-*")
    assert not (kept / "repository/.git").exists()


def test_a_git_that_fails_is_as_none(place):
    programs = programs_but_git(place / "bin")
    (place / "bin/git").write_text("#!/bin/sh\nexit 1\n")
    (place / "bin/git").chmod(0o755)
    assert CHECKED in run(place, "demo", PATH=programs).stdout


def test_under_a_terminal(place):
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [CODEX, "demo"], env=environment(place, TERM="xterm"), cwd=place, stdin=its, stdout=its, stderr=its
    )
    os.close(its)
    seen = b""
    try:
        while piece := os.read(ours, 1 << 16):
            seen += piece
    except OSError:  # the terminal has lost its last user
        pass
    os.close(ours)
    assert process.wait(30) == 0
    text = seen.decode()
    assert CHECKED in text
    order = [
        text.find(words) for words in ("This plays", "\x1b[", "Looking for ourselves", "\nOK", "Checked:", "Removed")
    ]
    assert -1 not in order
    assert order[0] < order[1] < order[2] < text.rfind("OK") < order[4] < order[5]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_leaves_nothing(place, number):
    programs = place / "bin"
    programs.mkdir()
    (programs / "cat").write_text(
        f"#!{shutil.which('sh')}\necho started\nexec sleep 60\n"
    )  # the first thing the model types
    (programs / "cat").chmod(0o755)
    env = environment(place, PATH=f"{programs}:{os.environ['PATH']}")
    process = subprocess.Popen(
        [CODEX, "demo"], env=env, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while "exec: cat" not in process.stderr.readline():
        assert process.poll() is None
    began = time.monotonic()
    process.send_signal(number)
    said, progress = process.communicate(timeout=30)
    assert process.returncode == 128 + number, progress
    assert time.monotonic() - began < 2
    assert "Traceback" not in progress
    assert "Removed " in said
    assert left(place) == ["bin"]


def test_goes_no_further_without_a_sandbox(place):
    entries = place / "first/codex_sandbox_linux-9.dist-info/entry_points.txt"  # stands before the installed one
    entries.parent.mkdir(parents=True)
    entries.write_text("[codex_host.v1.sandbox]\nother = nothing\n")
    ended = run(place, "demo", PYTHONPATH=str(place / "first"), code=5)
    assert "no sandbox works here: no sandbox backend" in ended.stderr
    assert "codex: the demo goes no further" in ended.stderr
    assert "exec:" not in ended.stderr
    assert left(place) == ["first"]


def test_help_says_what_it_does(place):
    said = run(place, "demo", "--help").stdout
    assert "repair a failing test" in said
    assert "--keep" in said


def test_other_commands_are_not_its():
    assert demo.codex_command("demos") is None


def codes(*given):
    """Something that takes command lines, remembers them and ends with one code after the other."""
    typed = []

    def type_words(*words):
        typed.append(words)
        return given[len(typed) - 1]

    return typed, type_words


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ((130,), 130, "Removed"),
        ((0, 4), 4, "The session ended with exit code 4."),
        ((0, 130), 130, "The session ended with exit code 130."),
        ((0, 0, 130), 130, "Removed"),
        ((0, 0, 1), 1, "THE TEST DOES NOT PASS"),
        ((0, 0, 0), 0, "the file outside was not written"),
    ],
)
def test_exit_codes(capsys, given, code, words):
    typed, type_words = codes(*given)
    assert _demo.show(type_words, keep=False) == code
    assert len(typed) == len(given)
    assert words in capsys.readouterr().out


def test_a_write_outside_is_told(capsys):
    def type_words(*words):
        Path("../outside.txt").write_text("written")
        return 0

    assert _demo.show(type_words, keep=False) == 1
    assert "THE FILE OUTSIDE WAS WRITTEN" in capsys.readouterr().out


def test_leaves_environment_and_folder_as_they_were(capsys):
    before = dict(os.environ), Path.cwd()
    with pytest.raises(SandboxError, match="goes no further"):
        _demo.show(codes(125)[1], keep=False)
    assert (dict(os.environ), Path.cwd()) == before


def test_no_room_for_the_repository(monkeypatch):
    def full(**options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(WorkspaceError, match="No space left on device; set TMPDIR"):
        _demo.show(codes()[1], keep=False)


def test_the_cassette_holds_nothing_of_a_machine():
    text = CASSETTE.read_text("ascii")
    for word in ("/tmp", "/root", "/home", "authorization", "sk-"):
        assert word not in text


def exec_replay(place, cassette, code, *words):
    home = place / "settings"
    home.mkdir(exist_ok=True)
    (home / "run.jsonl").write_text(cassette, "utf-8")
    settings = ["-c", "model_provider=replay", "-c", "plugins.replay.cassette=run.jsonl", *words]
    return run(place, "exec", "--skip-git-repo-check", *settings, "Hello", CODEX_HOME=str(home), code=code)


def test_exec_plays_a_cassette_of_the_chat_wire(place):
    request = {"method": "POST", "path": "/chat/completions"}
    piece = {"choices": [{"index": 0, "delta": {"content": "Good day."}, "finish_reason": "stop"}]}
    events = [{"data": piece}, {"data": "[DONE]"}]
    response = {"headers": {"content-type": "text/event-stream"}, "events": events}
    lines = [
        {"type": "cassette", "version": 1, "wire_api": "chat"},
        {"type": "exchange", "request": request, "response": response},
    ]
    cassette = "\n".join(map(json.dumps, lines))
    assert exec_replay(place, cassette, 0, "-c", "plugins.replay.wire_api=chat").stdout == "Good day.\n"
    assert 'set wire_api = "chat" in [plugins.replay]' in exec_replay(place, cassette, 2).stderr


def test_exec_says_what_is_wrong_with_a_cassette(place):
    header, *exchanges = CASSETTE.read_text().splitlines()
    broken = exec_replay(place, f"{header}\n{exchanges[0][:100]}", 2).stderr
    assert "run.jsonl, line 2: no JSON" in broken
    short = exec_replay(place, f"{header}\n{exchanges[0]}\n", 4).stderr
    assert "run.jsonl is at its end: all 1 exchanges are played" in short
    other = exec_replay(place, "\n".join([header, exchanges[0].replace('"/responses"', '"/models"')]), 4).stderr
    assert "line 2: it answers POST /models, and the run asks POST /responses" in other


def test_exec_asks_again_as_the_recorded_run_did(place):
    header, *exchanges = CASSETTE.read_text().splitlines()
    cut = json.loads(exchanges[-1])
    cut["response"]["events"] = cut["response"]["events"][:3]
    busy = json.loads(exchanges[-1])
    busy["response"] = {
        "status": 503,
        "headers": {"Retry-After": "0"},
        "body": '{"error": {"message": "busy"}}',
    }
    ended = exec_replay(place, "\n".join([header, json.dumps(busy), json.dumps(cut), exchanges[-1]]), 0)
    assert ended.stdout.startswith("The test passes now.")
    assert "busy" in ended.stderr
    assert "the model is asked again" in ended.stderr
