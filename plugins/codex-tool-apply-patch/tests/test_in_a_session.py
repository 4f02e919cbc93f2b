"""Patches in real sessions, on both wires: as a tool, in all the forms of commands, and held by the fence."""

from __future__ import annotations

from pathlib import Path

import codex_tool_apply_patch
import pytest

from codex_host.actions import Failed, Patch, Patched, Refused
from codex_host.events import ActionEnded, ActionStarted
from codex_host.testing.model_server import Call, ModelServer, Reply, Say
from codex_host.testing.session import Watching, make_host, play
from codex_host.testing.toolset import ToolsetContract

WORK = ["disk-full-read-access", "disk-write-cwd"]
FORMS = [
    ["apply_patch", "{}"],
    ["bash", "-lc", "apply_patch <<'EOF'\n{}\nEOF\n"],
    ["bash", "-lc", " apply_patch <<EOF\n{}\nEOF"],
    ["bash", "-lc", "cd sub && apply_patch <<'EOF'\n{}\nEOF\n"],
    ["bash", "-lc", "apply_patch '{}'"],
    ["bash", "-lc", "apply_patch \"$(cat <<'EOF'\n{}\nEOF\n)\""],
    "cd sub && apply_patch <<'EOF'\n{}\nEOF",
]


class TestApplyPatch(ToolsetContract):
    module = codex_tool_apply_patch
    name = "apply_patch"
    calls = {"apply_patch": '{"input": "*** Begin Patch\\n*** Add File: a\\n+x\\n*** End Patch"}'}  # noqa: RUF012


@pytest.fixture(params=["responses", "chat"])
def wire(request):
    return request.param


@pytest.fixture
def work(tmp_path):
    (tmp_path / "work" / "sub").mkdir(parents=True)
    return tmp_path / "work"


def adding(path: str) -> str:
    return f"*** Begin Patch\n*** Add File: {path}\n+text\n*** End Patch"


def told(folder: Path, wire: str, *calls: Call, permissions=WORK) -> tuple[list[str], Watching]:
    audience = Watching()
    named = [Call(call.name, call.arguments, f"call{number}") for number, call in enumerate(calls)]
    with ModelServer([*map(Reply, named), Reply(Say("Done."))]) as server:
        host = make_host(folder, server.base_url, wire=wire, sandbox_permissions=permissions)
        (ending,) = play(host, audience, "go")
    assert ending.exit_code == 0
    outputs = {call: text for request in server.requests for call, text in request.tool_outputs.items()}
    return [outputs[f"call{number}"] for number in range(len(calls))], audience


def test_all_forms_of_the_command_are_patches(work, tmp_path, wire):
    calls, expected = [], []
    for number, form in enumerate(FORMS):
        words = [form] if isinstance(form, str) else form
        filled = [word.format(adding(f"{number}")) for word in words]
        command = filled[0] if isinstance(form, str) else filled
        calls.append(Call("shell", {"command": command}))
        expected.append(f"sub/{number}" if "cd sub" in str(form) else f"{number}")
    answers, audience = told(tmp_path, wire, *calls)
    assert answers == [f"Success. Updated the following files:\nA {path}" for path in expected]
    assert all((work / path).read_text() == "text\n" for path in expected)
    assert all(isinstance(event.action, Patch) for event in audience.of(ActionStarted))
    assert [type(event.outcome) for event in audience.of(ActionEnded)] == [Patched] * len(FORMS)


def test_the_workdir_of_the_command_is_where_it_applies(work, tmp_path, wire):
    told(tmp_path, wire, Call("shell", {"command": ["apply_patch", adding("a")], "workdir": "sub"}))
    assert (work / "sub/a").read_text() == "text\n"


def test_an_invalid_patch_in_a_command_runs_nothing(work, tmp_path, wire):
    script = "apply_patch <<'EOF'\n*** Begin Patch\n*** Oops\n*** End Patch\nEOF"
    (answer,), audience = told(tmp_path, wire, Call("shell", {"command": ["bash", "-lc", script]}))
    assert "invalid patch, line 2: '*** Oops' begins no section" in answer
    assert audience.of(ActionStarted) == []


def test_the_tool_sums_up_and_explains_what_does_not_fit(work, tmp_path, wire):
    (work / "a").write_text("one\ntwo\nthree\n")
    fits = "*** Begin Patch\n*** Update File: a\n@@\n one\n-two\n+TWO\n*** End Patch"
    misfit = fits.replace("-two", "-tow")
    (answer, wrong), _ = told(tmp_path, wire, *[Call("apply_patch", {"input": text}) for text in (fits, misfit)])
    assert answer == "Success. Updated the following files:\nM a"
    assert wrong.startswith("error: ")
    assert "tow" in wrong
    assert "TWO" in wrong
    assert (work / "a").read_text() == "one\nTWO\nthree\n"


def test_nothing_outside_the_fence_is_written(work, tmp_path, wire):
    outside = tmp_path / "outside"
    outside.mkdir()
    (work / "link").symlink_to(outside)
    paths = ["../outside/a", "link/a", str(outside / "a"), "sub/../../outside/a"]
    answers, audience = told(tmp_path, wire, *[Call("apply_patch", {"input": adding(path)}) for path in paths])
    assert all("disk-write-folder=" in answer for answer in answers), answers
    assert list(outside.iterdir()) == []
    assert all(isinstance(event.outcome, (Failed, Refused)) for event in audience.of(ActionEnded))


def test_a_patch_of_which_one_file_fails_changes_none(work, tmp_path, wire):
    (work / "a").write_text("one\n")
    both = "*** Begin Patch\n*** Update File: a\n-one\n+ONE\n*** Delete File: missing\n*** End Patch"
    (answer,), _ = told(tmp_path, wire, Call("apply_patch", {"input": both}))
    assert "missing does not exist" in answer
    assert (work / "a").read_text() == "one\n"
