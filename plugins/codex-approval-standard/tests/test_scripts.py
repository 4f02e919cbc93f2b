"""What a script is read as is what bash makes of it: bash itself is asked, with recorders in place of the programs."""

import os
import shutil
import subprocess
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from codex_approval_standard._known_safe import judge, objection
from codex_approval_standard._script import LONGEST, Command, ScriptError, read
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

needs_bash = pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")


def short(script):
    return ascii(script)[:40]


def split(table):
    return table.strip().replace("\n", " ¦ ").split(" ¦ ")


# --- what is read -----------------------------------------------------------------------------------------------

PLAIN = [
    ("ls", [["ls"]]),
    ("  ls -1\n", [["ls", "-1"]]),
    ("ls;", [["ls"]]),
    ("ls ; pwd", [["ls"], ["pwd"]]),
    (
        "cd src && rg foo|head -n 5||echo none",
        [["cd", "src"], ["rg", "foo"], ["head", "-n", "5"], ["echo", "none"]],
    ),
    ("cat a\tb", [["cat", "a", "b"]]),
    ("rg 'a | b; c && d > e $x `y`'", [["rg", "a | b; c && d > e $x `y`"]]),
    ("""rg "it's" 'say "no"'""", [["rg", "it's", 'say "no"']]),
    (r"""rg "a\"b\\c\$d\`e\s\." """, [["rg", r'a"b\c$d`e\s\.']]),
    ("echo 'two\nlines' \"and\ntwo\"", [["echo", "two\nlines", "and\ntwo"]]),
    ("echo '' \"\" ''''", [["echo", "", "", ""]]),
    ("""rg -g'*.py' --glob="*.rs" a'b'"c"d""", [["rg", "-g*.py", "--glob=*.rs", "abcd"]]),
    ("echo 'Grüße' \"Grüße\"", [["echo", "Grüße", "Grüße"]]),
    (
        "git show HEAD~1:a^ @ a=b x,y+z %H -- 12",
        [["git", "show", "HEAD~1:a^", "@", "a=b", "x,y+z", "%H", "--", "12"]],
    ),
    ("ls *.py src/?/a", [["ls", "*.py", "src/?/a"]]),
]


@pytest.mark.parametrize(("script", "commands"), PLAIN)
def test_plain_scripts_are_read(script, commands):
    assert [list(command.argv) for command in read(script)] == commands


def test_wildcards_are_told_from_stars_in_quotes():
    assert read("ls a* '*' ?'*'") == (Command(("ls", "a*", "*", "?*"), ("a*", "?*")),)


NOT_PLAIN = r"""
; ¦ && ¦ || ¦ ;; ¦ | ¦ ls | ¦ | ls ¦ ls && ¦ && ls ¦ ls || ¦ ls ;; ls ¦ ls ;& ls ¦ ls ; ; ls ¦ ls && ; ls ¦ ls && && ls
ls & ¦ ls & ls ¦ ls && ls & ¦ ls |& cat ¦ ls &| cat ¦ ls & && ls
ls > a ¦ ls >a ¦ ls >> a ¦ ls 2>&1 ¦ ls < a ¦ ls <> a ¦ ls &> a ¦ > a ¦ > a ls ¦ ls 2>a 1>b ¦ cat << E ¦ cat <<< a
ls $x ¦ ls "$x" ¦ ls ${x} ¦ ls $'a' ¦ ls $"a" ¦ ls $((1)) ¦ ls $[1] ¦ ls $(pwd) ¦ ls `pwd` ¦ ls "`pwd`" ¦ ls <(pwd)
ls $ ¦ (ls) ¦ { ls; } ¦ ! ls ¦ ls || ! ls ¦ if ls; then ls; fi ¦ for a in b; do ls; done ¦ while ls; do ls; done
ls() { pwd; } ¦ function ls { pwd; } ¦ [[ a ]] ¦ ((1)) ¦ case a in b) ls;; esac ¦ coproc { ls; }
ls {a,b} ¦ ls {1..3} ¦ ls {a ¦ ls } ¦ ls [ab] ¦ ls [] ¦ ls ~ ¦ ls ~/a ¦ ls ~a ¦ ls a=~ ¦ ls a=~/b ¦ ls a:~ ¦ ls --a=~/b
ls \| ¦ ls \a ¦ ls a\ b ¦ f\ind . -ex\ec rm x ¦ ls "\!" ¦ ls "a!b" ¦ ls !! ¦ ls ! ¦ ls a!b ¦ find . -exec rm x \;
ls # a ¦ ls # ¦ # ls ¦ ls a#b
ls 'a ¦ ls "a ¦ ls ''a' ¦ ls ) ¦ ls ( ¦ ls a(b) ¦ ls @(a) ¦ ls ?(a) ¦ ls "a"$b ¦ ls a"b$c"
a=b ls >c ¦ A=1 ls ¦ A=1 ¦ a+=b ls ¦ a[0]=b ls
ls Übersicht ¦ ls —a ¦ ls “a”
"""
NOT_PLAIN_EITHER = [
    "",
    " ",
    "\n",
    "ls\npwd",
    "ls &&\npwd",
    "ls \\\n-l",
    "ls\\\n",
    "ls\r",
    "ls\r\npwd",
    "ls 'a\rb'",
    "ls\x00",
    "ls 'a\x00b'",
    "ls\x0bpwd",
    "ls\x0cpwd",
    "ls\x1b",
    "ls 'a\x7fb'",
    "ls\u00a0pwd",
    "ls\u2003pwd",
    "ls\u2028pwd",
    "ls\u0085pwd",
    "\ufeffls",
    "ls '\udc80'",
    'ls "ü\\"',
    'ls "ü\\""',
    "cat <<E\na\nE",
    "cat <<'E'\na\nE",
    "ls; " * LONGEST,
    "ls " + "a" * LONGEST,
    "(" * 5_000,
    "'" * 5_001,
    "{ " * 3_000,
    "$(" * 3_000,
]


@pytest.mark.parametrize("script", [*split(NOT_PLAIN), *NOT_PLAIN_EITHER], ids=short)
def test_other_scripts_are_not(script):
    with pytest.raises(ScriptError):
        read(script)


# --- what is safe -----------------------------------------------------------------------------------------------

SAFE = [
    ("ls && cd src && git status", 3),
    ("rg -n 'foo|bar' src | head -n 20", 2),
    ("find . -name '*.py' | wc -l; sed -n '1,20p' a.py", 3),
    ("git log --oneline -5 || echo none", 2),
    ("ls * | grep -v *.py; cat ?", 3),
    ("rg foo src/*.py ./* a?", 1),
    ("git diff HEAD~2 -- src/*.py", 1),
]


@pytest.mark.parametrize("flag", ["-c", "-lc"])
@pytest.mark.parametrize("shell", ["bash", "sh"])
@pytest.mark.parametrize(("script", "count"), SAFE)
def test_a_script_of_safe_commands_is_safe(shell, flag, script, count):
    judged = judge((shell, flag, script))
    assert [judgement.objection for judgement in judged] == [None] * count


UNSAFE = [
    (("bash", "-lc", "ls && make | cat"), "`make` is not on the list"),
    (("bash", "-lc", "ls; rg --pre ./run foo"), "`rg --pre` can start another program"),
    (("bash", "-lc", "rg foo *"), "`*` may find a file whose name is an option of `rg`"),
    (("bash", "-lc", "find *"), "`*`"),
    (("bash", "-lc", "git log -- *.py"), "`*.py`"),
    (("bash", "-lc", "rg --glob=*.py foo"), "`--glob=*.py`"),
    (("bash", "-lc", "git branch a*"), "only list branches"),
    (("bash", "-lc", "?s"), "`?s` is not on the list"),
    (("bash", "-lc", "./ls"), "`./ls` is not on the list"),
    (("bash", "-lc", "time ls"), "`time` is not on the list"),
    (("bash", "-lc", "A=1 ls"), "a variable that is set"),
    (("bash", "-lc", "ls > a"), "a redirection"),
    (("bash", "-lc", "ls &"), "a command in the background"),
    (("bash", "-lc", "ls $HOME"), "a variable"),
    (("bash", "-lc", "ls\nmake"), "more than one line"),
    (("bash", "-lc", "bash -c ls"), "`bash` is not on the list"),
    (("bash", "-lc", "-x"), "`-x` is not on the list"),
    (("bash", "-lc"), "`bash`"),
    (("bash", "-lc", "ls", "ls"), "`bash`"),
    (("bash", "-ic", "ls"), "`bash`"),
    (("bash", "-c", "-l", "ls"), "`bash`"),
    (("/bin/bash", "-lc", "ls"), "`/bin/bash`"),
    (("zsh", "-lc", "ls"), "`zsh`"),
]


@pytest.mark.parametrize(("argv", "reason"), UNSAFE, ids=str)
def test_one_command_that_is_not_known_is_enough(argv, reason):
    assert reason in (objection(argv) or "")


# --- compared with bash -------------------------------------------------------------------------------------------

PROGRAMS = [
    "cat",
    "cd",
    "echo",
    "find",
    "git",
    "grep",
    "head",
    "ls",
    "pwd",
    "rg",
    "sed",
    "tail",
    "wc",
    "which",
]
RECORDERS = "\n".join(
    [
        "set -f",  # wildcards stay as they are, to be compared
        """record() { command printf '%s\\0' "$#" "$@" >> "$RECORD/_$BASHPID"; return "$CODE"; }""",
        *(f"""{program}() {{ record {program} "$@"; }}""" for program in PROGRAMS),
        """command_not_found_handle() { record "$@"; return "$CODE"; }""",
        "PATH=/nonexistent",
    ]
)
"""For a shell that starts no program, but writes down each it was to start, ending as $CODE says."""


class Shell(NamedTuple):
    """A bash with recorders, in an empty folder."""

    folder: Path
    work: Path

    def runs(self, script: str, code: int, flag: str = "-c") -> list[tuple[str, ...]]:
        """What bash runs of a script if every command ends with this code; the flag "sh" stands for another shell."""
        records, profile = self.folder / "records", self.folder / ".bash_profile"
        records.mkdir()  # with a file for each process, so that none writes between another's lines
        env = {"HOME": str(self.folder), "RECORD": str(records), "CODE": str(code), "LC_ALL": "C.UTF-8"}
        if flag == "-c":
            env["BASH_ENV"] = str(profile)
        start = ["sh", "-c", '. "$0"; eval "$1"', str(profile)] if flag == "sh" else ["bash", flag]
        subprocess.run([*start, script], env=env, cwd=self.work, capture_output=True, timeout=20, stdin=-3)
        content = b"".join(file.read_bytes() for file in records.iterdir())
        shutil.rmtree(records)
        words = content.decode("utf-8", "surrogateescape").split("\0")[:-1]
        found = []
        while words:
            count = int(words[0])
            found.append(tuple(words[1 : count + 1]))
            del words[: count + 1]
        return found


@contextmanager
def recording_shell():
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder, "work")
        work.mkdir()
        Path(folder, ".bash_profile").write_text(RECORDERS)
        yield Shell(Path(folder), work)


def check_against_bash(shell: Shell, script: str, flag: str = "-c") -> None:
    """What is read must be what bash runs, no more and nothing else; `||` and `&&` take one way each."""
    argvs = [judgement.argv for judgement in judge(("bash", "-c", script))]
    assume(all(argv[0] in PROGRAMS for argv in argvs))  # whatever the options: only the reading is compared
    foreseen = Counter(argvs)
    good, bad = (Counter(shell.runs(script, code, flag)) for code in (0, 1))
    assert good <= foreseen
    assert bad <= foreseen
    assert set(good) | set(bad) == set(foreseen)
    assert os.listdir(shell.work) == []


WORDS = r"""
a ¦ -n ¦ -1 ¦ 1p ¦ 1,2p ¦ * ¦ a* ¦ ?b ¦ -- ¦ a=b ¦ --x=y ¦ a,b ¦ HEAD~1 ¦ a:b ¦ @ ¦ % ¦ ^ ¦ + ¦ . ¦ src/a.py ¦ '' ¦ ""
'a b' ¦ "a b" ¦ 'a'b ¦ -g'*' ¦ status ¦ log ¦ branch ¦ --list ¦ -name ¦ '$x' ¦ '`x`' ¦ ';' ¦ '|' ¦ '>a' ¦ '#' ¦ '!'
"'" ¦ '"' ¦ "\." ¦ "\"" ¦ 'ü'
"""
words = st.sampled_from(split(WORDS))
FRAGMENTS = [
    *" \t\n\r\v\f;|&!#$`'\"\\(){}[]<>*?~=:,@%^+-0é\xa0\x01",
    *[
        "&&",
        "||",
        ";;",
        "|&",
        "2>&1",
        ">a",
        ">>a",
        "<<E",
        "<<<a",
        "$x",
        "$(ls)",
        "`ls`",
        "$'\\n'",
        '$"a"',
        "$((1))",
    ],
    *[
        "{a,b}",
        "{1..2}",
        "[a]",
        "~/a",
        "=~",
        "a=b ",
        "time ",
        "! ",
        "if ",
        "then ",
        "do ",
        "in ",
        "coproc ",
        "exec ",
    ],
    *[
        "\\\n",
        "\\;",
        "\\'",
        '\\"',
        "'\\''",
        "\u2003",
        "\u2028",
        "\ufeff",
        "EOF",
        "((",
        "))",
        "[[",
        "]]",
        "()",
    ],
    *[
        "eval ",
        "builtin ",
        "command ",
        "alias ls=",
        "ls() ",
        "export ",
        "make",
        "rm a",
        "-exec",
        "--pre=x",
        "--output=a",
    ],
]
commands = st.builds(
    lambda program, rest: " ".join([program, *rest]), st.sampled_from(PROGRAMS), st.lists(words, max_size=4)
)
scripts = st.builds(
    lambda first, rest: first + "".join(map("".join, rest)),
    commands,
    st.lists(st.tuples(st.sampled_from([" && ", "||", " | ", "; ", ";"]), commands), max_size=3),
)


@st.composite
def disturbed(draw):
    """A plain script with a few things thrown in, somewhere."""
    script = draw(scripts)
    for fragment in draw(st.lists(st.sampled_from(FRAGMENTS), max_size=3)):
        at = draw(st.integers(0, len(script)))
        script = script[:at] + fragment + script[at:]
    return script


anything = st.lists(st.sampled_from([*PROGRAMS, *FRAGMENTS, " ", " "]), min_size=1, max_size=12).map("".join)
common = settings(
    database=None, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)


@needs_bash
@settings(common, max_examples=200, derandomize=True)
@given(script=disturbed() | anything)
def test_bash_agrees(script):
    with recording_shell() as shell:
        check_against_bash(shell, script)


@needs_bash
@pytest.mark.slow
@pytest.mark.parametrize("flag", ["-c", "-lc", "sh"])
def test_bash_agrees_at_length(flag):
    with recording_shell() as shell:

        @settings(common, max_examples=3_000)
        @given(script=disturbed() | anything)
        def check(script):
            check_against_bash(shell, script, flag)

        check()


@needs_bash
@pytest.mark.parametrize("flag", ["-c", "-lc", "sh"])
@pytest.mark.parametrize("script", [*(script for script, _ in PLAIN), *(script for script, _ in SAFE)], ids=short)
def test_bash_agrees_about_what_is_plain(script, flag):
    foreseen = Counter(command.argv for command in read(script))
    with recording_shell() as shell:
        good, bad = (Counter(shell.runs(script, code, flag)) for code in (0, 1))
    assert good <= foreseen
    assert bad <= foreseen
    assert set(good) | set(bad) == set(foreseen)
