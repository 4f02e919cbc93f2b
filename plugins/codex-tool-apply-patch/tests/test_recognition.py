"""apply_patch among commands: recognised when it is all that the command does."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from codex_tool_apply_patch._recognition import recognise

from codex_host.actions import AddFile, DeleteFile, Exec, Patch
from codex_host.errors import ToolError

CWD = Path("/project")
PATCH = "*** Begin Patch\n*** Delete File: a\n*** End Patch"


def command(*argv: str) -> Exec:
    return Exec(argv, CWD)


def script(text: str) -> Exec:
    return command("bash", "-lc", text)


@pytest.mark.parametrize(
    "exec_",
    [
        command("apply_patch", PATCH),
        command("apply_patch", f"<<'EOF'\n{PATCH}\nEOF"),
        command("sh", "-c", f"apply_patch <<EOF\n{PATCH}\nEOF"),
        command("/bin/bash", "-c", f"apply_patch <<EOF\n{PATCH}\nEOF"),
        script(f"\n  apply_patch << 'EOF'\n{PATCH}\nEOF\n\n"),
        script(f'apply_patch<<"THE END"\n{PATCH}\nTHE END'),
        script(f"apply_patch <<\\EOF\n{PATCH}\nEOF"),
        script("apply_patch <<-EOF\n\t" + PATCH.replace("\n", "\n\t") + "\n\tEOF\n"),
        script(f"apply_patch <<EOF\n{PATCH}\n"),
        script(f"apply_patch <<EOF\n{PATCH}\nEOF\n".replace("\n", "\r\n")),
        script(f"apply_patch '{PATCH}'"),
        script(f' apply_patch "{PATCH}"\n'),
        script(f"apply_patch \"$(cat <<'EOF'\n{PATCH}\nEOF\n)\""),
    ],
)
def test_recognised(exec_):
    assert recognise(exec_) == Patch((DeleteFile(CWD / "a"),))


@pytest.mark.parametrize(
    ("folder", "path"),
    [
        ("sub/dir", "/project/sub/dir/a"),
        ("..", "/a"),
        ("link/..", "/project/a"),
        ("/abs", "/abs/a"),
        ("'a dir'", "/project/a dir/a"),
        ('"a dir"', "/project/a dir/a"),
    ],
)
def test_recognised_after_cd(folder, path):
    for between in (" && ", "&&", " &&\n"):
        found = recognise(script(f"cd {folder}{between}apply_patch <<'EOF'\n{PATCH}\nEOF"))
        assert found == Patch((DeleteFile(Path(path)),))


@pytest.mark.parametrize(
    "text",
    [
        f"apply_patch_x <<EOF\n{PATCH}\nEOF",
        f"apply_patch <<EOF && ls\n{PATCH}\nEOF",
        f"apply_patch <<EOF | cat\n{PATCH}\nEOF",
        f"apply_patch <<EOF > out\n{PATCH}\nEOF",
        f"apply_patch <<EOF\n{PATCH}\nEOF\nls",
        f"apply_patch <<EOF\n{PATCH}\nEOF\n)",
        f"apply_patch -v <<EOF\n{PATCH}\nEOF",
        f"apply_patch <<<'{PATCH}'",
        f"ls; apply_patch <<EOF\n{PATCH}\nEOF",
        f"cd x; apply_patch <<EOF\n{PATCH}\nEOF",
        f"cd x || apply_patch <<EOF\n{PATCH}\nEOF",
        f"cd - && apply_patch <<EOF\n{PATCH}\nEOF",
        f"cd && apply_patch <<EOF\n{PATCH}\nEOF",
        f"cd ~ && apply_patch <<EOF\n{PATCH}\nEOF",
        f"cd $HOME && apply_patch <<EOF\n{PATCH}\nEOF",
        f'cd "$HOME" && apply_patch <<EOF\n{PATCH}\nEOF',
        f"cd a* && apply_patch <<EOF\n{PATCH}\nEOF",
        f"cd a b && apply_patch <<EOF\n{PATCH}\nEOF",
        "apply_patch",
        f"apply_patch '{PATCH}' && ls",
        f"apply_patch '{PATCH}' 'x'",
        f"apply_patch '{PATCH}'x",
        f'apply_patch "{PATCH}$HOME"',
        f'apply_patch "{PATCH}`ls`"',
        f'apply_patch "{PATCH}',
        f"apply_patch'{PATCH}'",
        f'apply_patch "$(cat <<EOF\n{PATCH}\nEOF\n)" && ls',
        f'apply_patch "$(cat <<EOF\n{PATCH}\nEOF\n); ls"',
        f'apply_patch "$(cat <<EOF\n{PATCH}\nEOF\n',
        f'apply_patch <<EOF\n{PATCH}\nEOF\n)"',
        "echo apply_patch <<EOF\nEOF",
    ],
)
def test_what_does_something_else_is_left_to_the_shell(text):
    assert recognise(script(text)) is None


@pytest.mark.parametrize("line", ["$HOME", "`ls`", "$(ls)", "a\\$b", "a\\", "a\\\\b"])
@pytest.mark.parametrize("form", ["apply_patch <<{}\n{}\nEOF", 'apply_patch "$(cat <<-{}\n{}\nEOF\n)"'])
def test_what_the_shell_would_expand_is_left_to_it(form, line):
    patch = f"*** Begin Patch\n*** Add File: a\n+{line}\n*** End Patch"
    assert recognise(script(form.format("EOF", patch))) is None
    for marker in ("'EOF'", '"EOF"', "\\EOF"):
        assert recognise(script(form.format(marker, patch))) == Patch((AddFile(CWD / "a", f"{line}\n"),))


def test_quotes_within_a_quoted_patch():
    patch = '*** Begin Patch\n*** Add File: a\n+it\'s "so"\n*** End Patch'
    expected = Patch((AddFile(CWD / "sub/a", 'it\'s "so"\n'),))
    quoted = patch.replace("'", "'\\''")
    assert recognise(script(f"cd sub && apply_patch '{quoted}'")) == expected
    assert shlex.split(f"apply_patch '{quoted}'") == ["apply_patch", patch]


def test_other_commands():
    for argv in (
        ("apply_patch",),
        ("apply_patch", PATCH, "x"),
        ("ls",),
        (),
        ("bash", "-x", "apply_patch <<E\nE"),
    ):
        assert recognise(command(*argv)) is None
    assert recognise(command("bash", "-c", f"apply_patch <<EOF\n{PATCH}\nEOF", "name")) is None


@pytest.mark.parametrize(
    "exec_",
    [
        command("apply_patch", "rubbish"),
        script("apply_patch <<EOF\nrubbish\nEOF"),
        script(f"apply_patch <<EOF\n{PATCH}\n  EOF"),
        script("cd x && apply_patch <<EOF\nEOF"),
        script("apply_patch 'rubbish'"),
        script("apply_patch ''"),
    ],
)
def test_an_invalid_patch_is_told_and_not_run(exec_):
    with pytest.raises(ToolError, match="invalid patch"):
        recognise(exec_)
