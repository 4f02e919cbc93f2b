"""The command line as a user meets it: which word goes where, what is said of a wrong one, and exit codes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from codex_host._cli import with_frontend
from codex_host._frontends import sandbox_flags
from codex_host.errors import UsageError
from codex_host.testing.model_server import Call, Reply, Say, Stall

CODEX = shutil.which("codex", path=sysconfig.get_path("scripts"))
LOOSE = ("exec", "--skip-git-repo-check")

FRONTEND = """
import json
import click
from codex_host.hookspecs import hookimpl
from codex_host.parts import Frontend

class Fancy(Frontend):
    \"\"\"Shows what it was given.\"\"\"

    interactive = INTERACTIVE

    def parameters(self):
        return [click.Argument(["prompt"], required=False)]

    async def run(self, host, options):
        print(json.dumps({"prompt": options["prompt"], "model": host.config.model, "cwd": str(host.cwd)}))

@hookimpl
def codex_frontend(name):
    return Fancy()
"""
COMMAND = """
import click
from codex_host.hookspecs import hookimpl

@hookimpl
def codex_command(name):
    @click.command(name)
    @click.pass_obj
    def command(context):
        BODY
    return command
"""
POISON = "raise ImportError('poisoned')"


def frontend(*, interactive=False):
    return FRONTEND.replace("INTERACTIVE", str(interactive))


def command(body="click.echo(f'this is {name}')"):
    return COMMAND.replace("BODY", body)


class TestWords:
    @pytest.mark.parametrize(
        ("typed", "meant"),
        [
            ([], [""]),
            (["exec", "hi"], ["exec", "hi"]),
            (["plugins"], ["plugins"]),
            (["two words"], ["", "two words"]),
            (["--", "word"], ["", "--", "word"]),
            (["-m", "o3", "word"], ["", "-m", "o3", "word"]),
            (["--frontend", "rich", "word"], ["--frontend", "rich", "", "word"]),
            (["--frontend=rich"], ["--frontend=rich", ""]),
            (["--frontend"], ["--frontend"]),
            (["--help"], ["--help"]),
            (["-h"], ["-h"]),
            (["-V"], ["-V"]),
        ],
    )
    def test_the_default_frontend_stands_where_no_name_is(self, typed, meant):
        assert with_frontend(typed) == meant

    def test_an_unknown_word_names_the_nearest(self, run_codex):
        run_codex("exce", "hi").assert_exit(2, "no command called 'exce'; did you mean 'exec'?", "after `--`")
        run_codex("zzzz").assert_exit(2, "no command called 'zzzz'; see `codex --help`.")

    def test_without_an_interactive_frontend(self, run_codex, codex_home):
        (codex_home / "config.toml").write_text("frontend = 'fancy'")
        for words in ([], ["two words"], ["--", "word"], ["-m", "o3"]):
            run = run_codex(*words)
            run.assert_exit(2, "'fancy' is not installed: pip install codex-frontend-fancy", "use `codex exec PROMPT`")

    def test_without_a_terminal(self, run_codex, codex_home, site):
        site.add("codex-frontend-fancy", {"frontend": "fancy"}, frontend(interactive=True))
        (codex_home / "config.toml").write_text("frontend = 'fancy'")
        run_codex("two words").assert_exit(2, "the frontend 'fancy' needs a terminal; without one use `codex exec")

    def test_the_configured_frontend_gets_the_prompt(self, run_codex, codex_home, site):
        site.add("codex-frontend-fancy", {"frontend": "fancy"}, frontend())
        (codex_home / "config.toml").write_text("frontend = 'fancy'")
        for words, prompt in (
            (["two words"], "two words"),
            (["--", "word"], "word"),
            ([], None),
            (["-mx", "word"], "word"),
        ):
            assert json.loads(run_codex(*words).assert_success().stdout)["prompt"] == prompt

    @pytest.mark.parametrize("words", [["--frontend", "fancy"], ["--frontend=fancy"], ["fancy"]])
    def test_a_frontend_by_its_name(self, run_codex, site, words):
        site.add("codex-frontend-fancy", {"frontend": "fancy"}, frontend())
        run = run_codex(*words, "-m", "o3", "word").assert_success()
        assert json.loads(run.stdout) | {"cwd": ""} == {"prompt": "word", "model": "o3", "cwd": ""}

    def test_a_frontend_that_is_missing(self, run_codex):
        run_codex("--frontend", "nope", "hi").assert_exit(
            2, "no frontend called 'nope'; installed: ", "pip install codex-frontend-nope"
        )
        run_codex("--frontend", "plugins", "list").assert_exit(2, "no frontend called 'plugins'")
        run_codex("--frontend").assert_exit(2, "'--frontend' requires an argument")

    def test_help_names_everything(self, run_codex, site):
        site.add("codex-command-fake", {"command": "fake"}, POISON, summary="A fake command")
        run = run_codex("--help").assert_success()
        lines = {line.split()[0]: " ".join(line.split()[1:]) for line in run.stdout.splitlines() if line.strip()}
        assert lines["fake"] == "A fake command"
        assert {"exec", "plugins", "sandbox", "debug"} <= set(lines)

    def test_version(self, run_codex):
        runs = [run_codex(word).assert_success().stdout for word in ("--version", "-V")]
        assert runs[0] == runs[1]
        assert runs[0].startswith("codex-host ")

    def test_options_of_all_frontends(self, run_codex):
        text = run_codex("exec", "--help").assert_success().stdout
        options = [
            "--model", "--model-provider", "--profile", "--config", "--cd", "--sandbox-permission", "--sandbox",
            "--sandbox-backend", "--full-auto", "--disable-response-storage", "--disable-plugin",
            "--skip-git-repo-check",
        ]  # fmt: skip
        assert [option for option in options if option not in text] == []


class TestPluginCommands:
    def test_a_command(self, run_codex, site):
        site.add("codex-command-fake", {"command": "fake"}, command())
        assert run_codex("fake").assert_success().stdout == "this is fake\n"

    def test_a_dot_nests_and_several_distributions_share_it(self, run_codex, site):
        site.add("codex-one", {"command": "tree.leaf tree.branch.twig"}, command(), summary="The first")
        site.add("codex-two", {"command": "tree.root"}, command(), summary="The second")
        site.add("codex-three", {"command": "tree.poison"}, POISON, summary="The third")
        assert run_codex("tree", "leaf").assert_success().stdout == "this is tree.leaf\n"
        assert run_codex("tree", "root").assert_success().stdout == "this is tree.root\n"
        assert run_codex("tree", "branch", "twig").assert_success().stdout == "this is tree.branch.twig\n"
        text = run_codex("tree", "--help").assert_success().stdout
        assert [line.split()[0] for line in text.split("Commands:")[1].splitlines() if line] == [
            "branch", "leaf", "poison", "root",
        ]  # fmt: skip
        assert "The third" in text
        run_codex("tree", "poison").assert_exit(2, "codex: codex-three 1.0 failed importing codex_three")
        run_codex("tree", "nope").assert_exit(2, "No such command 'nope'")

    def test_finds_settings_and_parts(self, run_codex, codex_home, site):
        body = "click.echo(context.config.model + ' ' + context.parts.wire_api('chat').path)"
        site.add("codex-command-fake", {"command": "fake"}, command(body))
        (codex_home / "config.toml").write_text("model = 'o3'")
        assert run_codex("fake").assert_success().stdout == "o3 /chat/completions\n"

    def test_needs_no_settings(self, run_codex, codex_home, site):
        site.add("codex-command-fake", {"command": "fake"}, command())
        (codex_home / "config.toml").write_text("broken")
        run_codex("fake").assert_success()

    def test_the_hosts_word_wins_and_the_list_says_so(self, run_codex, site):
        site.add("codex-command-fake", {"command": "plugins sandbox.other"}, POISON)
        site.add("codex-frontend-fake", {"frontend": "debug"}, POISON)
        listed = run_codex("plugins", "list").assert_success().stdout
        assert "(`codex plugins` is the host's own, so this one cannot be reached) Made up" in listed
        assert "(`codex sandbox` is the host's own, so this one cannot be reached) Made up" in listed
        assert "(`codex debug` is the host's own, use --frontend debug) Made up" in listed
        run_codex("--help").assert_success()

    def test_a_frontends_word_wins_over_a_command(self, run_codex, site):
        site.add("codex-command-fake", {"command": "exec exec.more"}, POISON)
        listed = run_codex("plugins", "list").assert_success().stdout
        assert listed.count("(`codex exec` is a frontend, so this one cannot be reached)") == 2
        run_codex("exec", "--help").assert_success()

    def test_a_command_hides_those_below_it(self, run_codex, site):
        site.add("codex-one", {"command": "tree"}, command())
        site.add("codex-two", {"command": "tree.leaf"}, POISON)
        listed = run_codex("plugins", "list").assert_success().stdout
        assert "(`codex tree` is a command itself, so this one cannot be reached)" in listed
        assert run_codex("tree").assert_success().stdout == "this is tree\n"

    def test_two_that_claim_one_word(self, run_codex, site):
        site.add("codex-one", {"command": "fake"}, POISON)
        site.add("codex-two", {"command": "fake"}, POISON)
        both = "two plugins claim the command 'fake': codex-one 1.0 and codex-two 1.0"
        run_codex("fake").assert_exit(2, both)
        assert "two plugins claim the command 'fake'" in run_codex("--help").assert_success().stdout
        listed = run_codex("plugins", "list").assert_success().stdout
        assert "(claimed by codex-two 1.0 too: uninstall or disable one) Made up" in listed
        assert "(claimed by codex-one 1.0 too: uninstall or disable one) Made up" in listed

    def test_completion_imports_nothing(self, run_codex, site):
        site.add("codex-command-fake", {"command": "plop tree.leaf"}, POISON)
        asking = {"_CODEX_COMPLETE": "bash_complete", "COMP_WORDS": "codex pl", "COMP_CWORD": "1"}
        words = run_codex(env=asking).assert_success().stdout.split()
        assert words == ["plain,plop", "plain,plugins"]
        asking |= {"COMP_WORDS": "codex tree l", "COMP_CWORD": "2"}
        assert run_codex(env=asking).assert_success().stdout.split() == ["plain,leaf"]
        asking |= {"COMP_WORDS": "codex exec --skip", "COMP_CWORD": "2"}
        assert run_codex(env=asking).assert_success().stdout.split() == ["plain,--skip-git-repo-check"]


class TestErrors:
    def test_one_meant_for_the_user_is_its_text(self, run_codex, site):
        body = "from codex_host.errors import SandboxError; raise SandboxError('it is broken')"
        site.add("codex-command-fake", {"command": "fake"}, command(body))
        run = run_codex("fake").assert_exit(5)
        assert (run.stdout, run.stderr) == ("", "codex: it is broken\n")

    def test_any_other_is_a_bug_and_shows_where(self, run_codex, site):
        site.add("codex-command-fake", {"command": "fake"}, command("{}['boom']"))
        run_codex("fake").assert_exit(70, "this is a bug in codex-host", "Traceback", "KeyError: 'boom'")

    @pytest.mark.parametrize("body", ["raise click.Abort", "raise KeyboardInterrupt"])
    def test_an_abort(self, run_codex, site, body):
        site.add("codex-command-fake", {"command": "fake"}, command(body))
        assert "Traceback" not in run_codex("fake").assert_exit(130).stderr

    def test_a_command_may_choose_its_code(self, run_codex, site):
        site.add("codex-command-fake", {"command": "fake"}, command("return 9"))
        run_codex("fake").assert_exit(9)

    def test_a_reader_that_goes_away(self, codex_home):
        read_end, write_end = os.pipe()
        os.close(read_end)
        done = subprocess.run([CODEX, "plugins", "list"], stdout=write_end, stderr=subprocess.PIPE, timeout=30)
        os.close(write_end)
        assert (done.returncode, done.stderr) == (1, b"")

    def test_a_plugin_that_leaves_does_not_end_the_run_well(self, run_codex, site):
        site.add("codex-provider-fake", {"provider": "fake"}, "raise SystemExit(0)")
        run_codex(*LOOSE, "--model-provider", "fake", "hi").assert_exit(2, "codex-provider-fake 1.0 failed importing")

    def test_a_frontend_that_raises_on_the_way(self, run_codex, site):
        broken = frontend().replace("return [click.Argument", "return 1 / 0, [click.Argument")
        site.add("codex-frontend-fake", {"frontend": "fake"}, broken)
        run_codex("fake").assert_exit(2, "codex: codex-frontend-fake 1.0 failed naming its options: ZeroDivisionError")

    def test_a_frontend_that_cancels_itself_has_not_succeeded(self, run_codex, site):
        broken = frontend().replace(
            "print(", "import asyncio; asyncio.current_task().cancel(); await asyncio.sleep(9); ("
        )
        site.add("codex-frontend-fake", {"frontend": "fake"}, broken)
        run_codex("fake").assert_exit(1, "cancelled from within")

    def test_usage(self, run_codex):
        run_codex("exec", "--nope").assert_exit(2, "--nope")
        run_codex("exec", "a", "b").assert_exit(2, "unexpected extra argument")
        run_codex("exec", "--sandbox", "x", "hi").assert_exit(2, "'x' is not one of")
        run_codex(*LOOSE, "-s", "x", "hi").assert_exit(2, "codex: --sandbox-permission: no permission is called 'x'")

    def test_a_folder_that_is_gone(self, run_codex, tmp_path):
        script = f'mkdir gone && cd gone && rmdir ../gone && exec "{CODEX}" "$@"'
        for words in ([*LOOSE, "hi"], ["-m", "x"]):
            done = subprocess.run(
                ["sh", "-c", script, "sh", *words], cwd=tmp_path, capture_output=True, text=True, timeout=30
            )
            assert (done.returncode, done.stderr.splitlines()) == (
                2,
                ["codex: the current folder does not exist any more; change to one that does"],
            )


class TestPluginsCommand:
    def test_list(self, run_codex, site):
        site.add("codex-provider-fake", {"provider": "fake"}, POISON, version="7.8", summary="Fakes it")
        site.add("codex-oracle", {"oracle": "fake"}, POISON)
        site.add("codex-old", {"provider": "old"}, POISON, generation=0)
        rows = [line.split() for line in run_codex("plugins", "list").assert_success().stdout.splitlines()]
        assert ["provider", "fake", "codex-provider-fake", "7.8", "Fakes", "it"] in rows
        assert [
            "oracle",
            "fake",
            "codex-oracle",
            "1.0",
            "(unknown",
            "kind,",
            "ignored)",
            "Made",
            "up",
        ] in rows
        assert [
            "provider",
            "old",
            "codex-old",
            "1.0",
            "(for",
            "plugin",
            "interface",
            "v0,",
            "ignored)",
            "Made",
            "up",
        ] in rows
        assert [row[:2] for row in rows] == sorted(row[:2] for row in rows)

    def test_why(self, run_codex):
        run = run_codex("plugins", "why", "provider", "openai").assert_success()
        assert "provider openai: claimed by codex-provider-openai " in run.stdout
        assert "it makes a codex_host.parts.Provider" in run.stdout

    def test_why_not(self, run_codex, site):
        site.add("codex-provider-fake", {"provider": "fake"}, POISON)
        run_codex("plugins", "why", "provider", "fake").assert_exit(2, "ImportError: poisoned")
        run_codex("plugins", "why", "provider", "nope").assert_exit(2, "no provider called 'nope'")
        run_codex("plugins", "why", "oracle", "nope").assert_exit(2, "'oracle' is not one of")

    def test_why_of_a_frontend_and_of_what_has_nothing_to_do(self, run_codex, codex_home):
        assert "_exec.Exec" in run_codex("plugins", "why", "frontend", "exec").assert_success().stdout
        (codex_home / "config.toml").write_text("[history]\npersistence = 'none'")
        assert "nothing to do" in run_codex("plugins", "why", "recorder", "history").assert_success().stdout


class TestSandboxFlags:
    NONE = {"sandbox_backend": None, "full_auto": False, "sandbox_mode": None, "permissions": ()}  # noqa: RUF012

    @pytest.mark.parametrize(
        ("options", "flags"),
        [
            ({}, {}),
            ({"sandbox_backend": "x"}, {"sandbox_backend": "x"}),
            ({"sandbox_mode": "read-only"}, {"sandbox_mode": "read-only"}),
            ({"permissions": ("disk-write-cwd",)}, {"sandbox_permissions": ["disk-write-cwd"]}),
            (
                {"permissions": ("disk-write-folder=sub",), "sandbox_mode": "read-only"},
                {"sandbox_permissions": ["disk-full-read-access", "disk-write-folder=/here/sub"]},
            ),
            (
                {"full_auto": True},
                {
                    "sandbox_permissions": [
                        "disk-full-read-access", "disk-write-cwd", "disk-write-platform-user-temp-folder",
                    ]
                },
            ),
        ],
    )  # fmt: skip
    def test_permissions_replace_and_presets_add(self, options, flags):
        assert sandbox_flags({**self.NONE, **options}, Path("/here")) == flags

    @pytest.mark.parametrize("word", ["", "disk-write-folder=", "disk-write-folder", "disk-write-cwd=x"])
    def test_a_wrong_permission(self, word):
        with pytest.raises(UsageError, match="--sandbox-permission: "):
            sandbox_flags({**self.NONE, "permissions": (word,)}, Path("/here"))


class TestSandboxRun:
    def test_codes_of_its_own(self, run_codex):
        free = ("sandbox", "run", "--sandbox", "danger-full-access", "--")
        run_codex(*free, "no-such-program").assert_exit(127, "there is no program called 'no-such-program'")
        run_codex(*free, "/").assert_exit(126, "'/' cannot be executed")
        run_codex("sandbox", "run", "--sandbox-backend", "nope", "true").assert_exit(125, "no sandbox called 'nope'")
        run_codex("sandbox", "run").assert_exit(2, "Missing argument")

    def test_the_commands_code(self, run_codex):
        free = ("sandbox", "run", "--sandbox", "danger-full-access", "--", "sh", "-c")
        assert run_codex(*free, "echo out; exit 9").assert_exit(9).stdout == "out\n"
        run_codex(*free, "kill -9 $$").assert_exit(137)

    def test_the_old_words(self, run_codex):
        run = run_codex("debug", "seatbelt", "true")
        run.assert_exit(125, "no sandbox called 'seatbelt'")


class TestExec:
    def test_answers_on_standard_output_alone(self, run_codex, served):
        with served(Reply(Say("Hello."))) as server:
            run = run_codex(*LOOSE, "Say hello.").assert_success()
        assert run.stdout == "Hello.\n"
        assert server.requests[0].user_texts == ["Say hello."]
        assert "tokens" in run.stderr

    @pytest.mark.parametrize("words", [["-"], []])
    def test_the_prompt_may_come_from_standard_input(self, run_codex, served, words):
        with served(Reply(Say("Yes."))) as server:
            run_codex(*LOOSE, *words, stdin="From\na pipe").assert_success()
        assert server.requests[0].user_texts == ["From\na pipe"]

    def test_standard_input_is_not_read_where_a_prompt_is_given(self, served, tmp_path):
        with served(Reply(Say("Yes."))):
            process = subprocess.Popen(
                [CODEX, *LOOSE, "hi"],
                cwd=tmp_path,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            with process:
                assert process.wait(30) == 0  # standard input is still open

    def test_no_prompt_on_a_terminal(self, codex_home, tmp_path):
        pty = pytest.importorskip("pty")
        master, slave = pty.openpty()
        done = subprocess.run([CODEX, *LOOSE], cwd=tmp_path, stdin=slave, capture_output=True, text=True, timeout=30)
        os.close(slave)
        os.close(master)
        assert (done.returncode, done.stderr) == (
            2,
            "codex: there is no prompt; give it as an argument, or on standard input with `codex exec -`\n",
        )

    @pytest.mark.parametrize("prompt", ["", "  \n"])
    def test_an_empty_prompt(self, run_codex, prompt):
        run_codex(*LOOSE, prompt).assert_exit(2, "the prompt is empty")
        run_codex(*LOOSE, stdin=prompt).assert_exit(2, "the prompt is empty")

    def test_no_git_work_tree(self, run_codex, served, tmp_path):
        with served() as server:
            run = run_codex("exec", "hi").assert_exit(2, f"{tmp_path} is in no git work tree", "--skip-git-repo-check")
        assert "Traceback" not in run.stderr
        assert server.requests == []

    @pytest.mark.parametrize("entry", ["file", "folder"])
    def test_below_a_git_work_tree_and_elsewhere(self, run_codex, served, tmp_path, entry):
        below = tmp_path / "repository" / "below"
        below.mkdir(parents=True)
        git = below.parent / ".git"
        _ = git.mkdir() if entry == "folder" else git.write_text("gitdir: elsewhere")
        with served(*[Reply(Say("Yes."))] * 2):
            run_codex("exec", "hi", cwd=below).assert_success()
            run_codex("exec", "-C", "repository", "hi").assert_success()

    def test_the_folder_to_work_in(self, run_codex, site, tmp_path):
        site.add("codex-frontend-fancy", {"frontend": "fancy"}, frontend())
        (tmp_path / "work").mkdir()
        (tmp_path / "link").symlink_to("work")
        for word in ("work", tmp_path / "work", "link"):
            assert json.loads(run_codex("fancy", "-C", word).assert_success().stdout)["cwd"] == str(tmp_path / "work")
        run_codex("fancy", "-C", "missing").assert_exit(2, f"{tmp_path / 'missing'} cannot be worked in")
        (tmp_path / "file").touch()
        run_codex("fancy", "-C", "file").assert_exit(2, "it is no folder")

    @pytest.mark.parametrize("key", [None, "", "  "])
    def test_a_missing_key_ends_with_3_before_anything_is_done(self, run_codex, served, codex_home, key):
        with served() as server:
            assign = ("-c", "model_providers.test.env_key=A_TEST_KEY")
            run = run_codex(*LOOSE, *assign, "hi", env={"A_TEST_KEY": key})
        run.assert_exit(3, "the environment variable A_TEST_KEY is not set or blank")
        assert server.requests == []
        assert [file.name for file in codex_home.iterdir()] == ["config.toml"]

    def test_a_sandbox_that_was_asked_for_and_does_not_work_ends_with_5(self, run_codex, served, site):
        site.add("codex-sandbox-fake", {"sandbox": "fake"}, SANDBOX)
        with served(Reply(Call("shell", {"command": ["touch", "made"]}))):
            run = run_codex(*LOOSE, "--sandbox-backend", "fake", "hi")
        run.assert_exit(5, "the sandbox that was asked for does not work here: fake: it is a fake")

    def test_settings_of_the_command_line(self, run_codex, served, codex_home):
        with served(*[Reply(Say("Yes."))] * 3) as server:
            with (codex_home / "config.toml").open("a") as file:
                file.write("[profiles.p]\nmodel = 'profile'\n")
            run_codex(*LOOSE, "-p", "p", "hi").assert_success()
            run_codex(*LOOSE, "-p", "p", "-c", "model=assigned", "hi").assert_success()
            run_codex(*LOOSE, "-p", "p", "-c", "model=assigned", "-m", "flag", "hi").assert_success()
        assert [request.body["model"] for request in server.requests] == ["profile", "assigned", "flag"]

    def test_what_is_wrong_with_the_settings_is_told(self, run_codex, served, codex_home):
        with served(Reply(Say("Yes."))):
            run = run_codex(*LOOSE, "-c", "modle=x", "hi").assert_success()
        assert "unknown key 'modle' is ignored; did you mean 'model'?" in run.stderr
        with served(Reply(Say("Yes."))):
            run = run_codex(*LOOSE, "-c", "model_providers.test.baseurl=x", "hi").assert_success()
        assert "unknown key 'baseurl' is ignored; did you mean 'base_url'?" in run.stderr

    def test_a_broken_toolset_is_left_out_and_named(self, run_codex, served, site):
        site.add("codex-tool-fake", {"toolset": "fake"}, POISON)
        with served(Reply(Say("Yes."))):
            run = run_codex(*LOOSE, "hi").assert_success()
        assert "codex-tool-fake 1.0 failed importing codex_tool_fake" in run.stderr
        with served(Reply(Say("Yes."))):
            run = run_codex(*LOOSE, "--disable-plugin", "codex-tool-fake", "hi").assert_success()
        assert "codex-tool-fake" not in run.stderr

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal(self, served, tmp_path, number):
        with served(Reply(Stall())) as server:
            command = [CODEX, *LOOSE, "hi"]
            with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                until(lambda: server.requests)
                process.send_signal(number)
                _, errors = process.communicate(timeout=30)
        assert process.returncode == 128 + number
        assert b"Traceback" not in errors


SANDBOX = """
from codex_host.hookspecs import hookimpl
from codex_host.parts import Sandbox
from codex_host.permissions import Guarantee

class Fake(Sandbox):
    guarantees = frozenset(Guarantee)

    def unavailable(self):
        return "it is a fake"

    def confine(self, command, env, fence):
        raise AssertionError

@hookimpl
def codex_sandbox(name):
    return Fake()
"""


def until(holds, seconds=30):
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


AUTHORS_TEST = """
pytest_plugins = ["codex_host.testing.fixtures"]

def test_it_runs(codex_home, run_codex):
    assert "codex-host" in run_codex("--version").assert_success().stdout
    assert list(codex_home.iterdir()) == []

def test_it_shows_what_went_wrong(run_codex):
    run_codex("--nope").assert_success()

def test_it_shows_what_was_not_said(run_codex):
    run_codex("--version").assert_exit(0, "good morning")
"""


def test_the_fixtures_of_plugin_authors(tmp_path):
    (tmp_path / "test_example.py").write_text(AUTHORS_TEST)
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "1 passed" in run.stdout, run.stdout
    assert "exit code 2 instead of 0" in run.stdout
    assert "$ codex --nope" in run.stdout
    assert "standard error does not say 'good morning'" in run.stdout


def test_the_program_is_that_of_this_environment():
    assert CODEX is not None
    assert Path(CODEX).is_relative_to(sys.prefix)
