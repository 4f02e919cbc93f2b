"""The policies in sessions with a real sandbox: what is asked, done, and told to the model, on both wires."""

import sys

import pytest

from codex_host.actions import Patched, Ran, Refused
from codex_host.events import ActionEnded, EndingKind
from codex_host.parts import Abort, Approve, Deny, Scope
from codex_host.testing.model_server import Call, ModelServer, Reply, Say
from codex_host.testing.session import Watching, make_host, play

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")

ADD = "*** Begin Patch\n*** Add File: new.txt\n+text\n*** End Patch\n"
TOUCH = ["touch", "touched"]


@pytest.fixture(params=["responses", "chat"])
def session(request, tmp_path):
    """Run calls under a policy, one a turn, with these answers; what happened, and what the model was told."""

    def run(policy, calls, *answers, **settings):
        audience = Watching(*answers)
        script = [*(Reply(call) for call in calls), Reply(Say("Done."))]
        with ModelServer(script) as server:
            host = make_host(tmp_path, server.base_url, wire=request.param, approval_policy=policy, **settings)
            (ending,) = play(host, audience, "go")
            told = [output for received in server.requests for output in received.tool_outputs.values()]
        audience.told, audience.ending = "\n".join(map(str, told)), ending
        audience.outcomes = [event.outcome for event in audience.of(ActionEnded)]
        return audience

    return run


def shell(*argv):
    return Call("shell", {"command": list(argv)})


def patch():
    return Call("apply_patch", {"input": ADD})


def test_what_only_reads_runs_without_a_question_in_the_sandbox(session):
    seen = session("unless-allow-listed", [shell("bash", "-lc", "ls && echo yes | head -n 1")])
    assert seen.questions == []
    assert isinstance(seen.outcomes[0], Ran)
    assert seen.outcomes[0].sandboxed
    assert "yes" in seen.told


def test_what_is_approved_runs_in_the_sandbox_too(session, tmp_path):
    seen = session("unless-allow-listed", [shell(*TOUCH)], Approve(), Deny())
    first, offer = seen.questions
    assert first.reason == "`touch` is not on the list of commands that only read"
    assert not first.outside
    assert offer.outside
    assert offer.denial.permission == "disk-write-cwd"
    assert not (tmp_path / "work/touched").exists()
    assert isinstance(seen.outcomes[0], Refused)
    assert "the sandbox had stopped the command" in seen.told


def test_it_runs_outside_where_the_question_said_so(session, tmp_path):
    seen = session("on-failure", [shell(*TOUCH)], Approve())
    assert [question.outside for question in seen.questions] == [True]
    assert (tmp_path / "work/touched").exists()
    assert not seen.outcomes[-1].sandboxed


def test_a_failure_is_not_a_denial(session):
    seen = session("on-failure", [shell("bash", "-c", "echo 1 test failed; exit 1")])
    assert seen.questions == []


def test_once_is_once_and_the_session_is_the_session(session):
    calls = [shell("true"), shell("true"), shell("true"), shell("true", "1")]
    seen = session("unless-allow-listed", calls, Approve(), Approve(Scope.SESSION), Approve())
    assert [question.action.argv for question in seen.questions] == [("true",), ("true",), ("true", "1")]
    assert len(seen.outcomes) == 4


def test_an_approval_is_for_one_folder(session, tmp_path):
    (tmp_path / "work/sub").mkdir(parents=True)
    elsewhere = Call("shell", {"command": ["true"], "workdir": "sub"})
    seen = session("unless-allow-listed", [shell("true"), elsewhere], Approve(Scope.SESSION), Deny())
    assert [question.action.cwd.name for question in seen.questions] == ["work", "sub"]


def test_an_approval_of_the_inside_never_opens_the_outside(session, tmp_path):
    seen = session("unless-allow-listed", [shell(*TOUCH)], Approve(Scope.SESSION), Deny())
    assert [question.outside for question in seen.questions] == [False, True]
    assert not (tmp_path / "work/touched").exists()


def test_feedback_reaches_the_model(session):
    seen = session("unless-allow-listed", [shell("make")], Deny("use ninja instead"))
    assert seen.outcomes == [Refused("user", "use ninja instead")]
    assert "use ninja instead" in seen.told


def test_abort_stops_the_task(session):
    seen = session("unless-allow-listed", [shell("make")], Abort())
    assert (seen.ending.kind, seen.ending.exit_code) == (EndingKind.REFUSED, 6)


@pytest.mark.parametrize("policy", ["unless-allow-listed", "on-failure"])
def test_a_patch_is_asked_for_and_applied_when_approved(session, tmp_path, policy):
    seen = session(policy, [patch()], Approve())
    assert [file.path.name for file in seen.questions[0].files] == ["new.txt"]
    assert isinstance(seen.outcomes[0], Patched)
    assert (tmp_path / "work/new.txt").read_text() == "text\n"


def test_never_refuses_the_patch_and_tells_the_model(session, tmp_path):
    seen = session("never", [patch()])
    assert seen.questions == []
    assert isinstance(seen.outcomes[0], Refused)
    assert "not in a writable folder" in seen.told
    assert not (tmp_path / "work/new.txt").exists()


@pytest.mark.parametrize("policy", ["on-failure", "never"])
def test_what_may_be_written_is_not_asked_for(session, tmp_path, policy):
    seen = session(policy, [patch(), shell(*TOUCH)], sandbox_permissions=["disk-full-read-access", "disk-write-cwd"])
    assert seen.questions == []
    assert (tmp_path / "work/new.txt").exists()
    assert (tmp_path / "work/touched").exists()


def test_the_last_line_of_exec_names_full_auto(run_codex, codex_home):
    with ModelServer([Reply(patch()), Reply(Say("I may not."))]) as server:
        table = f'[model_providers.test]\nname = "Test"\nbase_url = "{server.base_url}"\n'
        (codex_home / "config.toml").write_text(f'model_provider = "test"\n{table}')
        run = run_codex("exec", "--skip-git-repo-check", "go")
    assert "--full-auto" in run.stderr.splitlines()[-1]
