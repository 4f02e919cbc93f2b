"""What a command might do to move the fence, outlive its end or reach Codex's own files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from codex_host.errors import SandboxError, WorkspaceError
from codex_host.permissions import FULL_AUTO, resolve
from codex_host.testing.model_server import Call, ModelServer, Reply, Say

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs landlock")


def test_a_root_that_became_a_link_is_noticed(tmp_path):
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    elsewhere.mkdir()
    fence = resolve(FULL_AUTO, project, tmp_path)
    fence.check()
    project.rename(tmp_path / "moved")
    fence.check()  # gone is not moved: nothing can be written there
    project.symlink_to(elsewhere)
    with pytest.raises(SandboxError, match="replaced by a link"):
        fence.check()


def provider(server):
    return f"model_providers.t={{name='T', base_url='{server.base_url}', wire_api='chat'}}"


def shell(script):
    return Call("shell", {"command": ["sh", "-c", script], "timeout": 20_000})


@linux
def test_a_command_cannot_move_the_working_folder(tmp_path, codex_home, run_codex):
    project, outside = tmp_path / "project", tmp_path / "outside"
    project.mkdir()
    outside.mkdir()
    swap = f"cd / && rmdir {project} && ln -s {outside} {project}"
    script = [Reply(shell(swap)), Reply(shell(f"echo x > {outside}/planted")), Reply(Say("done"))]
    with ModelServer(script) as server:
        words = ["--full-auto", "--skip-git-repo-check", "-m", "m", "--model-provider", "t", "-c", provider(server)]
        run_codex("exec", *words, "-s", f"disk-write-folder={tmp_path}/project", "go", cwd=project)
    assert list(outside.iterdir()) == []


def test_the_folder_of_settings_cannot_be_worked_in(codex_home, run_codex):
    ended = run_codex("exec", "--skip-git-repo-check", "hello", cwd=codex_home)
    ended.assert_exit(WorkspaceError.exit_code, "settings and sessions")


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGTERM])
@pytest.mark.parametrize("times", [1, 2])
def test_no_signal_leaves_a_command_behind(tmp_path, codex_home, number, times):
    work = tmp_path / "work"
    work.mkdir()
    alive = work / "alive"
    stubborn = f"trap '' TERM HUP INT; echo $$ > {alive}; while :; do sleep 0.1; done"
    with ModelServer([Reply(shell(stubborn))]) as server:
        words = ["-m", "m", "--model-provider", "t", "-c", provider(server), "-s", f"disk-write-folder={work}"]
        codex = [str(Path(sys.executable).parent / "codex"), "exec", "--skip-git-repo-check", *words, "go"]
        process = subprocess.Popen(codex, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=work)
        wait_until(lambda: alive.exists() and alive.read_text().strip())
        for _ in range(times):
            process.send_signal(number)
        assert process.wait(10) == 128 + number
        wait_until(lambda: not Path(f"/proc/{alive.read_text().strip()}").exists())


@linux
def test_a_command_that_leaves_its_session_without_a_mark_ends_with_the_run(tmp_path, codex_home, run_codex):
    work = tmp_path / "work"
    work.mkdir()
    alive = work / "alive"
    loose = f"setsid env -i PATH=$PATH sh -c 'echo $$ > {alive}; exec sleep 300' >/dev/null 2>&1 & sleep 0.5"
    with ModelServer([Reply(shell(loose)), Reply(Say("done"))]) as server:
        words = ["-m", "m", "--model-provider", "t", "-c", provider(server), "-s", f"disk-write-folder={work}"]
        run_codex("exec", "--skip-git-repo-check", *words, "go", cwd=work).assert_success()
    wait_until(lambda: not Path(f"/proc/{alive.read_text().strip()}").exists())


def test_a_prompt_on_standard_input_can_be_interrupted(tmp_path, codex_home):
    codex = [str(Path(sys.executable).parent / "codex"), "exec", "--skip-git-repo-check", "-"]
    reading, writing = os.pipe()
    with subprocess.Popen(codex, stdin=reading, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        time.sleep(1)  # it reads by then, or is about to: either way the signal has to end it
        process.send_signal(signal.SIGTERM)
        assert process.wait(6) == 143
    os.close(reading)
    os.close(writing)


def test_modules_of_the_current_folder_are_not_plugins(tmp_path, codex_home, run_codex):
    metadata = tmp_path / "evil-1.0.dist-info"
    metadata.mkdir()
    (metadata / "entry_points.txt").write_text("[codex_host.v1.toolset]\nevil = evil\n")
    (tmp_path / "evil.py").write_text("import os\nos._exit(99)\n")
    ended = run_codex("plugins", "list", cwd=tmp_path, env={"PYTHONPATH": f":{os.curdir}"})
    assert "evil" not in ended.stdout


def wait_until(true, seconds=10.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
