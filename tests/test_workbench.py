"""The one way from a wish to an effect: every branch, with policies and answers of the test's own.

Commands and patches are real, and so is the sandbox where one works here.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from codex_host._plugins import Found, Plugins
from codex_host._review import Review
from codex_host._sandbox_choice import Choice
from codex_host._workbench import OPEN, Workbench
from codex_host.actions import (
    Action,
    AddFile,
    Ask,
    CommandGrant,
    DeleteFile,
    Denial,
    Exec,
    Failed,
    Hunk,
    Outcome,
    Patch,
    Patched,
    Ran,
    Refuse,
    Refused,
    ReviewContext,
    Run,
    ToolGrant,
    UpdateFile,
    Use,
    Used,
    Verdict,
)
from codex_host.errors import RefusalError, SandboxError, ToolError
from codex_host.events import ActionEnded, ActionStarted, Ending, Notice, OutputDelta
from codex_host.items import Effects, ToolCall, ToolResult, ToolSpec
from codex_host.parts import (
    Abort,
    Approval,
    ApprovalPolicy,
    Approve,
    Deny,
    Launch,
    Sandbox,
    Scope,
    Tool,
    Toolset,
)
from codex_host.parts import Workbench as LentWorkbench
from codex_host.permissions import Fence, Guarantee
from codex_host.testing.model_server import Call, ModelServer, Reply, Say
from codex_host.testing.session import Watching, make_host, play


class Policy(ApprovalPolicy):
    """Says what the test says."""

    def __init__(self, verdict: Any, offer: Any = None) -> None:
        self.verdict = verdict
        self.offer = offer
        self.reviewed: list[tuple[Action, ReviewContext]] = []
        self.denied: list[Ran] = []

    def review(self, action: Action, context: ReviewContext) -> Verdict:
        self.reviewed.append((action, context))
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict(action, context) if callable(self.verdict) else self.verdict  # type: ignore[no-any-return]

    def after_denial(self, command: Exec, outcome: Ran, context: ReviewContext) -> Ask | None:
        self.denied.append(outcome)
        if isinstance(self.offer, Exception):
            raise self.offer
        return self.offer  # type: ignore[no-any-return]


RUN, ASK, REFUSE = Policy(Run("fine")), Ask("is it fine?"), Refuse("not fine")


class Unconfined(Sandbox):
    """Holds nothing back and says that it does."""

    guarantees = frozenset(Guarantee)

    def unavailable(self) -> str | None:
        return None

    def confine(self, command: Exec, env: Mapping[str, str], fence: Fence) -> Launch:
        return Launch(command.argv, env, command.cwd)


def found(part: object, kind: str = "sandbox", name: str = "test") -> Found:
    return Found(part, kind, name, f"codex-{name} 1.0")


def real_sandbox() -> Choice:
    """Landlock, or the test is skipped."""
    if sys.platform != "linux":
        pytest.skip("landlock is a part of Linux")
    made = Plugins().part("sandbox", "landlock", config=None, parts=None)
    if reason := made.part.unavailable():
        pytest.skip(reason)
    return Choice(made)


class Bench:
    """A workbench in a temporary folder, with who watches and answers."""

    def __init__(self, folder: Path, policy: ApprovalPolicy, *answers: Any, **fields: Any) -> None:
        self.cwd = folder / "work"
        self.cwd.mkdir(exist_ok=True)
        self.audience = Watching(*answers)
        self.choice: Choice | Exception = fields.pop("choice", Choice(found(Unconfined())))
        fence = fields.pop("fence", Fence(None, (self.cwd,)))
        settings: dict[str, Any] = {
            "environ": dict(os.environ),
            "secrets": (),
            "journal": folder / "journal",
            **fields,
        }
        self.workbench = Workbench(
            self.cwd,
            Review(found(policy, "approval_policy"), self.audience.ask, self.audience.show),
            lambda: fence,
            self._sandbox,
            self.audience.show,
            **settings,
        )

    async def _sandbox(self) -> Choice:
        if isinstance(self.choice, Exception):
            raise self.choice
        return self.choice

    def perform(self, *actions: Action) -> Any:
        """The outcome of the last action."""

        async def main() -> Outcome:
            for number, action in enumerate(actions):
                outcome = await self.workbench.perform(f"call_{number}", action)
            return outcome

        return anyio.run(main)

    def sh(self, script: str) -> Exec:
        return Exec(("/bin/sh", "-c", script), self.cwd, 20.0)


NOBODY = Choice(None, "landlock: the kernel is too old")


# --- The verdict on a command


def test_run_runs(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Policy(Run("fine")))
    outcome = bench.perform(bench.sh("echo hi; exit 3"))
    assert (outcome.exit_code, outcome.output.text, outcome.sandboxed) == (3, "hi\n", True)
    kinds = [type(event) for event in bench.audience.events]
    assert kinds[0] is ActionStarted
    assert kinds[-1] is ActionEnded
    assert set(kinds[1:-1]) == {OutputDelta}
    assert bench.audience.questions == []


def test_refuse_does_not_run(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Policy(REFUSE))
    outcome = bench.perform(bench.sh("touch ran"))
    assert outcome == Refused("test", "not fine")
    assert list(bench.cwd.iterdir()) == []
    assert bench.audience.events == [ActionEnded("call_0", bench.sh("touch ran"), outcome)]
    assert bench.workbench.refused == [outcome]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Deny("use the other one"), Refused("user", "use the other one")),
        (Deny(), Refused("user", "the user said no")),
        (None, Refused("test", "is it fine?; nobody is there to approve it")),
        ("what?", Refused("test", "is it fine?; nobody is there to approve it")),
        (True, Refused("test", "is it fine?; nobody is there to approve it")),
    ],
)
def test_what_is_not_approved_does_not_run(tmp_path: Path, answer: Any, outcome: Refused) -> None:
    bench = Bench(tmp_path, Policy(ASK), answer)
    assert bench.perform(bench.sh("touch ran")) == outcome
    assert list(bench.cwd.iterdir()) == []
    assert bench.audience.questions == [Approval("call_0", bench.sh("touch ran"), "is it fine?")]


def test_approved_once_is_asked_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Policy(ASK), Approve(), Deny("enough"))
    command = bench.sh("echo x >>ran")
    assert bench.perform(command, command) == Refused("user", "enough")
    assert (bench.cwd / "ran").read_text() == "x\n"
    assert bench.workbench.review.grants == []


def test_approved_for_the_session_is_in_the_next_context(tmp_path: Path) -> None:
    def once(action: Action, context: ReviewContext) -> Verdict:
        return Run("granted") if context.granted(action) else ASK

    bench = Bench(tmp_path, Policy(once), Approve(Scope.SESSION))
    command = bench.sh("echo x >>ran")
    assert isinstance(bench.perform(command, command), Ran)
    assert (bench.cwd / "ran").read_text() == "x\nx\n"
    assert len(bench.audience.questions) == 1
    assert bench.workbench.review.grants == [CommandGrant(command.argv, bench.cwd)]
    other = Exec(command.argv, tmp_path, 20.0)
    assert isinstance(bench.perform(other), Refused)  # another folder is another command


def test_abort_ends_the_task(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Policy(ASK), Abort())
    with pytest.raises(RefusalError, match="stopped by the user"):
        bench.perform(bench.sh("touch ran"))
    assert list(bench.cwd.iterdir()) == []


@pytest.mark.parametrize("verdict", [KeyError("a bug"), None, True, "run", lambda action, context: 1 / 0])
def test_a_policy_that_fails_refuses(tmp_path: Path, verdict: Any) -> None:
    bench = Bench(tmp_path, Policy(verdict))
    for action in (bench.sh("touch ran"), Patch((AddFile(bench.cwd / "file", "x\n"),)), Use("search", "{}")):
        outcome = bench.perform(action)
        assert isinstance(outcome, Refused)
        assert "codex-test 1.0 failed" in outcome.reason
    assert list(bench.cwd.iterdir()) == []


# --- What holds a command back


@pytest.mark.parametrize(("answer", "ran"), [(None, False), (Deny(), False), (Approve(), True)])
def test_run_never_opens_the_fence(tmp_path: Path, answer: Any, ran: bool) -> None:
    """With nothing to hold a command back it is asked for, whatever the policy says."""
    bench = Bench(tmp_path, Policy(Run("fine")), answer, choice=NOBODY)
    outcome = bench.perform(bench.sh("touch ran"))
    assert (bench.cwd / "ran").exists() is ran
    assert len(bench.audience.questions) == 1
    assert bench.workbench.review.policy.part.reviewed[0][1].sandboxed is False
    if ran:
        assert (outcome.exit_code, outcome.sandboxed) == (0, False)
    else:
        assert "landlock: the kernel is too old" in outcome.reason


def test_a_grant_for_the_inside_does_not_stand_for_no_sandbox_at_all(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Policy(ASK), Approve(Scope.SESSION))
    command = bench.sh("echo x >>ran")
    bench.perform(command)
    bench.workbench.review.policy.part.verdict = Run("granted")
    bench.choice = NOBODY
    assert isinstance(bench.perform(command), Refused)
    assert (bench.cwd / "ran").read_text() == "x\n"


def test_an_open_fence_needs_no_sandbox(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Policy(Run("fine")), fence=OPEN, choice=AssertionError("not asked for"))
    outcome = bench.perform(bench.sh("touch ran"))
    assert (outcome.exit_code, outcome.sandboxed) == (0, False)


def test_a_named_sandbox_that_does_not_work_ends_the_task(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Policy(Run("fine")), choice=SandboxError("does not work"))
    with pytest.raises(SandboxError):
        bench.perform(bench.sh("touch ran"))
    assert list(bench.cwd.iterdir()) == []


@pytest.mark.parametrize("lacking", list(Guarantee))
def test_a_guarantee_that_lacks_is_named_and_nothing_runs(tmp_path: Path, lacking: Guarantee) -> None:
    class Lacking(Unconfined):
        guarantees = frozenset(Guarantee) - {lacking}

    work = tmp_path / "work"
    fence = Fence((work,), (work,), hidden=(tmp_path / "home",))
    bench = Bench(tmp_path, Policy(Run("fine")), choice=Choice(found(Lacking(), name="lacking")), fence=fence)
    with pytest.raises(SandboxError, match=f"'lacking' cannot enforce what is asked of it here: {lacking.value}$"):
        bench.perform(bench.sh("touch ran"))
    assert list(bench.cwd.iterdir()) == []


@pytest.mark.parametrize("error", [KeyError("a bug"), SandboxError("it cannot")])
def test_a_backend_that_fails_to_confine_ends_the_task(tmp_path: Path, error: Exception) -> None:
    class Failing(Unconfined):
        def confine(self, command: Exec, env: Mapping[str, str], fence: Fence) -> Launch:
            raise error

    bench = Bench(tmp_path, Policy(Run("fine")), choice=Choice(found(Failing())))
    with pytest.raises(SandboxError, match=r"a bug|it cannot"):
        bench.perform(bench.sh("touch ran"))
    assert list(bench.cwd.iterdir()) == []


def test_set_up_that_fails_at_the_far_end_ends_the_task(tmp_path: Path) -> None:
    class Wrapping(Unconfined):
        def confine(self, command: Exec, env: Mapping[str, str], fence: Fence) -> Launch:
            def setup_error(ran: Ran) -> str | None:
                return "the container did not start" if ran.exit_code == 125 else None

            return Launch(command.argv, env, command.cwd, setup_error=setup_error)

    bench = Bench(tmp_path, Policy(Run("fine")), choice=Choice(found(Wrapping())))
    assert bench.perform(bench.sh("exit 1")).exit_code == 1
    with pytest.raises(SandboxError, match="the container did not start"):
        bench.perform(bench.sh("exit 125"))


def test_a_command_that_does_not_start_is_explained(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Policy(Run("fine")))

    def reason(*argv: str, cwd: Path = bench.cwd) -> str:
        outcome = bench.perform(Exec(argv, cwd))
        assert isinstance(outcome, Failed)
        return outcome.reason

    (bench.cwd / "plain").write_text("x")
    assert reason("no-such-program") == "there is no program called 'no-such-program'"
    assert reason("./plain").startswith("'./plain' cannot be started: Permission denied")
    missing = bench.cwd / "missing"
    assert reason("true", cwd=missing) == f"the folder {missing} cannot be entered: No such file or directory"
    assert "Not a directory" in reason("true", cwd=bench.cwd / "plain")
    assert reason() == "the command is empty"
    assert "null byte" in reason("true", "a\0b")


# --- After a denial


def denied_write(bench: Bench, outside: Path) -> Exec:
    return bench.sh(f"touch {outside}/file")


def test_a_denial_names_what_was_closed_and_may_be_offered_outside(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    bench = Bench(tmp_path, Policy(Run("fine"), Ask("outside?")), Approve(), choice=real_sandbox())
    outcome = bench.perform(denied_write(bench, outside))
    denial = Denial(str(outside / "file"), "it may not be written", f"disk-write-folder={outside}")
    (question,) = bench.audience.questions
    assert isinstance(question, Approval)
    assert (question.outside, question.denial, question.reason) == (True, denial, "outside?")
    assert (outcome.exit_code, outcome.sandboxed, outcome.denial) == (0, False, None)
    assert (outside / "file").exists()
    assert [event.outside for event in bench.audience.of(ActionStarted)] == [False, True]
    assert [event.outcome.sandboxed for event in bench.audience.of(ActionEnded)] == [True, False]


@pytest.mark.parametrize(
    ("offer", "answer"),
    [(None, None), (Ask("outside?"), None), (KeyError("a bug"), Approve())],
)
def test_what_is_not_approved_stays_inside(tmp_path: Path, offer: Any, answer: Any) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    bench = Bench(tmp_path, Policy(Run("fine"), offer), answer, choice=real_sandbox())
    outcome = bench.perform(denied_write(bench, outside))
    assert outcome.exit_code != 0
    assert outcome.denial.permission == f"disk-write-folder={outside}"
    assert list(outside.iterdir()) == []
    assert len(bench.audience.questions) == (1 if isinstance(offer, Ask) else 0)


def test_a_no_to_the_outside_reaches_the_model_with_what_the_sandbox_stopped(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    bench = Bench(tmp_path, Policy(Run("fine"), Ask("outside?")), Deny("write to build/"), choice=real_sandbox())
    outcome = bench.perform(denied_write(bench, outside))
    assert (outcome.by, outcome.reason.split(" (")[0]) == ("user", "write to build/")
    assert str(outside) in outcome.reason
    assert bench.workbench.refused == [outcome]
    assert list(outside.iterdir()) == []


def test_aborting_at_the_offer_ends_the_task(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    bench = Bench(tmp_path, Policy(Run("fine"), Ask("outside?")), Abort(), choice=real_sandbox())
    with pytest.raises(RefusalError):
        bench.perform(denied_write(bench, outside))


def test_an_approval_of_the_outside_for_the_session_is_not_asked_again(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    bench = Bench(tmp_path, Policy(Run("fine"), Ask("outside?")), Approve(Scope.SESSION), choice=real_sandbox())
    command = bench.sh(f"echo x >>{outside}/file")
    bench.perform(command, command)
    assert (outside / "file").read_text() == "x\nx\n"
    assert len(bench.audience.questions) == 1
    assert bench.workbench.review.grants == [CommandGrant(command.argv, bench.cwd, outside=True)]


def test_what_merely_fails_is_not_offered_outside(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Policy(Run("fine"), Ask("outside?")), Approve(), choice=real_sandbox())
    outcome = bench.perform(bench.sh("echo 'AssertionError: 1 != 2'; ls missing; exit 1"))
    assert (outcome.exit_code, outcome.denial, outcome.sandboxed) == (1, None, True)
    assert bench.workbench.review.policy.part.denied == []


def test_a_backend_knows_better_what_it_stopped(tmp_path: Path) -> None:
    class Knowing(Unconfined):
        def explain(self, command: Exec, fence: Fence, outcome: Ran) -> Denial | None:
            return Denial("port 80", "it is not among the allowed ports")

    bench = Bench(tmp_path, Policy(Run("fine")), choice=Choice(found(Knowing())))
    assert bench.perform(bench.sh("exit 1")).denial.what == "port 80"
    assert bench.perform(bench.sh("exit 0")).denial is None


def test_a_backend_that_fails_to_explain_does_no_harm(tmp_path: Path) -> None:
    class Failing(Unconfined):
        def explain(self, command: Exec, fence: Fence, outcome: Ran) -> Denial | None:
            raise KeyError("a bug")

    bench = Bench(tmp_path, Policy(Run("fine")), choice=Choice(found(Failing())))
    assert bench.perform(bench.sh("exit 4")).exit_code == 4
    assert "codex-test 1.0" in bench.audience.of(Notice)[0].message


# --- Patches


def patch_in(folder: Path) -> Patch:
    return Patch((AddFile(folder / "new", "text\n"), UpdateFile(folder / "old", (Hunk(("a",), ("b",)),))))


def test_a_patch_inside_the_fence_is_applied(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Policy(Run("fine")))
    (bench.cwd / "old").write_text("a\n")
    outcome = bench.perform(patch_in(bench.cwd))
    assert isinstance(outcome, Patched)
    assert ((bench.cwd / "new").read_text(), (bench.cwd / "old").read_text()) == ("text\n", "b\n")
    assert bench.workbench.review.policy.part.reviewed[0][1].writes == (bench.cwd / "new", bench.cwd / "old")
    (started,) = bench.audience.of(ActionStarted)
    assert [file.kind for file in started.files] == ["add", "update"]


def test_run_does_not_open_the_fence_for_a_patch(tmp_path: Path) -> None:
    """The smallest permission that would do is named, and nothing of the patch is applied."""
    bench = Bench(tmp_path, Policy(Run("fine")))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "old").write_text("a\n")
    mixed = Patch((AddFile(bench.cwd / "fine", "x\n"), *patch_in(outside).changes))
    outcome = bench.perform(mixed)
    assert isinstance(outcome, Failed)
    assert f"disk-write-folder={outside} would allow it" in outcome.reason
    assert (outside / "old").read_text() == "a\n"
    assert not (outside / "new").exists()
    assert not (bench.cwd / "fine").exists()


def test_the_working_folder_has_a_permission_of_its_own(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Policy(Run("fine")), fence=Fence(None, ()))
    outcome = bench.perform(Patch((AddFile(bench.cwd / "new", "text\n"),)))
    assert "the sandbox permission disk-write-cwd would allow it" in outcome.reason
    assert list(bench.cwd.iterdir()) == []


def test_an_approved_patch_touches_exactly_its_files(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "old").write_text("a\n")
    (outside / "other").write_text("other\n")
    bench = Bench(tmp_path, Policy(ASK), Approve(Scope.SESSION), None, choice=real_sandbox())
    assert isinstance(bench.perform(patch_in(outside)), Patched)
    assert (outside / "old").read_text() == "b\n"
    assert sorted(path.name for path in outside.iterdir()) == ["new", "old", "other"]
    (question,) = bench.audience.questions
    assert isinstance(question, Approval)
    assert len(question.files) == 2
    assert bench.workbench.review.grants == []
    refused = bench.perform(Patch((DeleteFile(outside / "old"),)))  # the approval was for that patch alone
    assert isinstance(refused, Refused)
    bench.workbench.review.policy.part.verdict = Run("fine")
    assert bench.perform(denied_write(bench, outside)).exit_code != 0


def test_an_approved_patch_still_leaves_the_hidden_alone(tmp_path: Path) -> None:
    hidden = tmp_path / "home"
    hidden.mkdir()
    fence = Fence(None, (tmp_path,), hidden=(hidden,))
    bench = Bench(tmp_path, Policy(ASK), Approve(), fence=fence)
    outcome = bench.perform(Patch((AddFile(hidden / "config.toml", "notify = ['sh']\n"),)))
    assert isinstance(outcome, Failed)
    assert list(hidden.iterdir()) == []


def test_a_patch_that_does_not_fit_is_told_before_anybody_is_asked(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Policy(ASK), Approve())
    (bench.cwd / "old").write_text("something else\n")
    assert isinstance(bench.perform(patch_in(bench.cwd)), Failed)
    assert bench.audience.questions == []
    assert not (bench.cwd / "new").exists()


def test_a_refused_patch_changes_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Policy(REFUSE))
    assert isinstance(bench.perform(Patch((AddFile(bench.cwd / "new", "x\n"),))), Refused)
    assert list(bench.cwd.iterdir()) == []


# --- What a command really is


class Interpreting(Toolset):
    def __init__(self, meaning: Any) -> None:
        self.meaning = meaning

    async def open(self, workbench: LentWorkbench) -> list[Tool]:
        return []

    def interpret(self, command: Exec) -> Action | None:
        if isinstance(self.meaning, Exception):
            raise self.meaning
        return self.meaning(command) if command.argv[0] == "mine" else None  # type: ignore[no-any-return]


def test_a_command_that_is_really_a_patch_is_reviewed_as_one(tmp_path: Path) -> None:
    toolset = Interpreting(lambda command: Patch((AddFile(command.cwd / "new", "x\n"),)))
    bench = Bench(tmp_path, Policy(Run("fine")), toolsets=(found(toolset, "toolset"),))
    assert isinstance(bench.perform(Exec(("mine",), bench.cwd)), Patched)
    assert isinstance(bench.workbench.review.policy.part.reviewed[0][0], Patch)
    assert isinstance(bench.perform(bench.sh("true")), Ran)


@pytest.mark.parametrize("error", [ToolError("invalid patch, line 2"), KeyError("a bug")])
def test_a_command_that_cannot_be_interpreted_is_not_run(tmp_path: Path, error: Exception) -> None:
    bench = Bench(tmp_path, Policy(Run("fine")), toolsets=(found(Interpreting(error), "toolset"),))
    outcome = bench.perform(bench.sh("touch ran"))
    assert isinstance(outcome, Failed)
    assert "invalid patch, line 2" in outcome.reason or "codex-test 1.0" in outcome.reason
    assert list(bench.cwd.iterdir()) == []


# --- Tools that act outside


class Searching(Tool):
    spec = ToolSpec("search", "Search.", {"type": "object"}, Effects.OUTSIDE)

    def __init__(self, answer: Callable[[], Awaitable[ToolResult]] | None = None) -> None:
        self.calls: list[ToolCall] = []
        self._answer = answer

    async def call(self, call: ToolCall) -> ToolResult:
        self.calls.append(call)
        return await self._answer() if self._answer else ToolResult("found")


def searching(tool: Tool) -> dict[str, Found]:
    return {"search": found(tool, "tool", "search")}


def test_an_outside_tool_is_reviewed_and_called(tmp_path: Path) -> None:
    tool = Searching()
    bench = Bench(tmp_path, Policy(ASK), Approve(Scope.SESSION), tools=searching(tool))
    assert bench.perform(Use("search", '{"q": 1}')) == Used(ToolResult("found"))
    assert tool.calls == [ToolCall("call_0", "search", '{"q": 1}')]
    assert bench.workbench.review.grants == [ToolGrant("search")]
    assert bench.workbench.review.policy.part.reviewed[0][1].sandboxed is False


@pytest.mark.parametrize("verdict", [REFUSE, ASK])
def test_an_outside_tool_that_is_refused_is_not_called(tmp_path: Path, verdict: Verdict) -> None:
    tool = Searching()
    bench = Bench(tmp_path, Policy(verdict), tools=searching(tool))
    assert isinstance(bench.perform(Use("search", "{}")), Refused)
    assert tool.calls == []


@pytest.mark.parametrize("error", [KeyError("a bug"), ToolError("no such page")])
def test_an_outside_tool_that_fails_ends_like_any_action(tmp_path: Path, error: Exception) -> None:
    async def answer() -> ToolResult:
        raise error

    bench = Bench(tmp_path, Policy(Run("fine")), tools=searching(Searching(answer)))
    outcome = bench.perform(Use("search", "{}"))
    assert isinstance(outcome, Failed)
    assert "codex-search 1.0" in outcome.reason or outcome.reason == "no such page"
    assert len(bench.audience.of(ActionEnded)) == 1


def test_an_outside_tool_may_have_actions_of_its_own(tmp_path: Path) -> None:
    async def answer() -> ToolResult:
        ran = await bench.workbench.perform("inner", bench.sh("echo inner"))
        assert isinstance(ran, Ran)
        return ToolResult(ran.output.text)

    bench = Bench(tmp_path, Policy(Run("fine")), tools=searching(Searching(answer)))
    assert bench.perform(Use("search", "{}")) == Used(ToolResult("inner\n"))


# --- Order, and being stopped


def test_actions_run_one_at_a_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Policy(Run("fine")))
    script = "[ -e busy ] && exit 9; touch busy; sleep 0.05; rm busy"

    async def main() -> list[Any]:
        return await asyncio.gather(*(bench.workbench.perform(str(n), bench.sh(script)) for n in range(5)))

    assert [outcome.exit_code for outcome in anyio.run(main)] == [0] * 5


def test_a_question_is_taken_down_and_the_next_action_goes_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Policy(ASK))

    async def forever(question: object) -> None:
        asked.set()
        await anyio.sleep_forever()

    async def main() -> Outcome:
        nonlocal asked
        asked = anyio.Event()
        bench.workbench.review.ask = forever
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.workbench.perform, "first", bench.sh("touch ran"))
            await asked.wait()
            tasks.cancel_scope.cancel()
        bench.workbench.review.policy.part.verdict = Run("fine")
        return await bench.workbench.perform("second", bench.sh("true"))

    asked: anyio.Event
    assert isinstance(anyio.run(main), Ran)
    assert not (bench.cwd / "ran").exists()


# --- The environment


def test_a_command_sees_neither_keys_nor_sockets(tmp_path: Path) -> None:
    environ = {
        "PATH": os.environ["PATH"],
        "THE_KEY": "a",
        "IN_URL": "x=sk-0123456789",
        "SSH_AUTH_SOCK": "/s",
        "PLAIN": "b",
    }
    bench = Bench(tmp_path, Policy(Run("fine")), environ=environ, secrets=("sk-0123456789",))
    seen = bench.perform(bench.sh("env")).output.text
    assert "PLAIN=b" in seen
    assert not any(name in seen for name in ("THE_KEY", "IN_URL", "SSH_AUTH_SOCK", "sk-0123456789"))


# --- From a whole session


def run_session(folder: Path, *replies: Reply, **settings: Any) -> tuple[Ending, Watching]:
    audience = Watching()
    with ModelServer(replies) as server:
        (ending,) = play(make_host(folder, server.base_url, **settings), audience, "go")
    return ending, audience


class Broken(Unconfined):
    def unavailable(self) -> str | None:
        return "the moon is full"


def test_a_named_sandbox_that_does_not_work_is_exit_5(tmp_path: Path) -> None:
    call = Reply(Call("shell", {"command": ["touch", "ran"]}))
    ending, _ = run_session(tmp_path, call, parts={"sandbox.broken": Broken()}, sandbox_backend="broken")
    assert ending.exit_code == 5
    assert "broken: the moon is full" in ending.message
    assert not (tmp_path / "work/ran").exists()


def test_no_sandbox_at_all_is_refused_with_nobody_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from codex_host import _sandbox_choice

    monkeypatch.setattr(_sandbox_choice, "SANDBOX_CANDIDATES", {sys.platform: ("broken",)})
    call = Reply(Call("shell", {"command": ["touch", "ran"]}))
    ending, audience = run_session(tmp_path, call, Reply(Say("so be it")), parts={"sandbox.broken": Broken()})
    assert (ending.message, ending.exit_code) == ("so be it", 0)
    (ended,) = audience.of(ActionEnded)
    assert isinstance(ended.outcome, Refused)
    assert "the moon is full" in ended.outcome.reason
    assert not (tmp_path / "work/ran").exists()
    assert any("no sandbox works here" in notice.message for notice in audience.of(Notice))


def test_codex_home_is_hidden_from_commands(tmp_path: Path) -> None:
    real_sandbox()
    home = tmp_path / "home"
    home.mkdir()
    (home / "auth.json").write_text("secret")
    call = Reply(Call("shell", {"command": ["cat", str(home / "auth.json")]}))
    _, audience = run_session(tmp_path, call, Reply(Say("done")))
    (ended,) = audience.of(ActionEnded)
    assert isinstance(ended.outcome, Ran)
    assert "secret" not in ended.outcome.output.text
    assert ended.outcome.denial == Denial(str(home / "auth.json"), "it may not be read", None)
