"""The rules that no other tool holds, each with its exceptions and why they are ones. The sources are only read."""

import ast
import re
import sys
from pathlib import Path

import pytest

from codex_host import hookspecs
from codex_host._plugins import HOOKS, installed

ROOT = Path(__file__).parents[1]
HOST = sorted((ROOT / "codex_host").rglob("*.py"))
OURS = sorted(
    file for pattern in ("plugins/*/codex_*", "plugin-template/codex_*") for file in ROOT.glob(f"{pattern}/**/*.py")
)
DISTRIBUTIONS = {folder.name for folder in (ROOT / "plugins").iterdir() if (folder / "pyproject.toml").exists()}
MODULES = {name.replace("-", "_") for name in DISTRIBUTIONS}
PUBLIC = {file.stem for file in (ROOT / "codex_host").glob("*.py") if not file.stem.startswith("_")}
LIBRARIES = {"codex_sandbox_linux": "codex_lib_linux_confinement"}
"""Which plugin may use which library; a library sees the host's public names only."""
PROCESS_MODULES = {"subprocess", "multiprocessing", "pty"}
PROCESS_CALLS = re.compile(
    r"os\.(fork|forkpty|system|popen|startfile|exec\w+|posix_spawnp?|spawn\w+)"
    r"|(asyncio|anyio)\.(create_subprocess_\w+|run_process|open_process)|pty\.\w+"
)

PRINTS = {
    "codex_host/_commands": "the host's own commands are frontends",
    "codex_host/_cli.py": "`--version` without loading click, and the errors that end a run",
    "codex_host/_group.py": "`--version` beside other words",
    "codex_host/testing/model_server.py": "a program of its own",
    "plugins/codex-frontend-exec": "a frontend",
    "plugins/codex-tool-apply-patch/codex_tool_apply_patch/_command.py": "a program of its own",
    "plugins/codex-provider-replay/codex_provider_replay/_demo.py": "a command, which is its own frontend",
    "plugins/codex-approval-standard/codex_approval_standard/why.py": "likewise",
}
STARTS_PROCESSES = {
    "codex_host/_process.py": "the one place where processes begin",
    "codex_host/programs.py": "the user's own programs, for plugins",
    "codex_host/testing": "the kit runs whole programs, fresh interpreters and second writers",
}
CATCHES_ALL = {
    ("codex_host/_plugins.py", "guarded"): "a plugin may raise anything",
    ("codex_host/_cli.py", "_run"): "the last one to tell what happened",
    ("codex_host/_watchers.py", "_work"): "an observer's thread, whose failure ends nothing else",
    ("codex_host/_process.py", "restricted"): "a thread's error is raised by the one who waits for it",
    ("codex_host/_transport.py", "events"): "a provider's stream may be anything",
    ("codex_host/_transport.py", "document"): "likewise",
    ("codex_host/_transport.py", "_post"): "httpx lets through what other libraries raise",
    ("codex_host/testing/model_server.py", "_model_answer"): "a failed assertion must reach the test",
}
LONG_MODULES = {"codex_host/parts.py": "the reference of all parts on one page"}
LONGEST_MODULE = 350
LONGEST_FUNCTION = 45
LATE = {"httpx", "rich", "mcp", "textual", "prompt_toolkit"}
"""Imported by the function that needs them, or every start would pay for it."""


def name_of(file):
    return file.relative_to(ROOT).as_posix()


def tree(file):
    return ast.parse(file.read_text("utf-8"), str(file))


def outside_type_checking(nodes):
    """The nodes and all below them that exist at run time."""
    for node in nodes:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from outside_type_checking(node.orelse)
            continue
        yield node
        yield from outside_type_checking(ast.iter_child_nodes(node))


def imports(nodes):
    """The full names that these nodes import: "a.b" for `from a import b`."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls(file):
    return [ast.unparse(node.func) for node in ast.walk(tree(file)) if isinstance(node, ast.Call)]


def functions_in(node):
    """The functions below a node, itself left out."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [below for below in ast.walk(node) if isinstance(below, kinds) and below is not node]


def functions(file):
    return functions_in(tree(file))


def within(functions):
    """The nodes of these functions, to be told from others by identity."""
    return {id(node) for function in functions for node in ast.walk(function)}


def excepted(name, places):
    return any(name == place or name.startswith(f"{place}/") for place in places)


def prints(file):
    return {"print", "click.echo", "sys.stdout.write"} & set(calls(file))


def starts_processes(file):
    modules = {name.partition(".")[0] for name in imports(ast.walk(tree(file)))} & PROCESS_MODULES
    return modules | {call for call in calls(file) if PROCESS_CALLS.fullmatch(call)}


@pytest.mark.parametrize(
    ("does", "exceptions"),
    [(prints, PRINTS), (starts_processes, STARTS_PROCESSES)],
    ids=["prints", "processes"],
)
def test_only_the_listed_files(does, exceptions):
    doing = {name_of(file): does(file) for file in (*HOST, *OURS)}
    unlisted = {name for name, found in doing.items() if found and not excepted(name, exceptions)}
    assert unlisted == set()
    for place in exceptions:
        assert any(found and excepted(name, [place]) for name, found in doing.items()), place


def test_httpx_is_the_transports_alone():
    users = {
        name_of(file)
        for file in (*HOST, *OURS)
        for name in imports(ast.walk(tree(file)))
        if name.split(".")[0] == "httpx"
    }
    assert users == {"codex_host/_transport.py"}


@pytest.mark.parametrize("file", [*HOST, *OURS], ids=name_of)
def test_heavy_libraries_are_imported_late(file):
    code = tree(file)
    late = within(functions_in(code))
    now = imports(node for node in outside_type_checking(code.body) if id(node) not in late)
    assert LATE.isdisjoint(name.partition(".")[0] for name in now)


@pytest.mark.parametrize("file", OURS, ids=name_of)
def test_plugins_see_public_names_only(file):
    package = next(part for part in file.parts if part.startswith("codex_"))
    for name in imports(ast.walk(tree(file))):
        first, _, rest = name.partition(".")
        if first == "codex_host":
            assert rest.split(".")[0] in PUBLIC, name
        elif first.startswith("codex_"):
            assert first in (package, LIBRARIES.get(package)), name
            assert first == package or not any(part.startswith("_") for part in rest.split(".")), name


def test_the_host_names_no_plugin():
    """Names of distributions are data of the config module; nothing else knows one, in an import or in a text."""
    found = []
    for file in HOST:
        code = tree(file)
        documentation = {id(node.value) for node in ast.walk(code) if isinstance(node, ast.Expr)}
        texts = [node for node in ast.walk(code) if isinstance(node, ast.Constant) and id(node) not in documentation]
        texts = [node.value for node in texts if isinstance(node.value, str)]
        found += [(name_of(file), name) for name in imports(ast.walk(code)) if name.partition(".")[0] in MODULES]
        if file.stem != "config":
            known = MODULES | DISTRIBUTIONS
            found += [(name_of(file), text) for text in texts if any(re.search(rf"\b{name}\b", text) for name in known)]
    suggestion = "no plugins are installed; pip install the ones you want, for example codex-provider-openai"
    assert found == [("codex_host/_commands/plugins.py", suggestion)]


def catches_all(handler):
    caught = ast.unparse(handler.type) if handler.type else ""
    blind = not caught or re.search(r"\b(Exception|BaseException)\b", caught)
    last = handler.body[-1]
    return blind and not (isinstance(last, ast.Raise) and last.exc is None)


def test_blind_excepts_are_listed():
    """Elsewhere an error is caught by its class, or raised again by the same handler."""
    found = set()
    for file in (*HOST, *OURS):
        for function in functions(file):
            own = [node for node in ast.walk(function) if isinstance(node, ast.ExceptHandler)]
            inner = within(functions_in(function))
            found |= {(name_of(file), function.name) for node in own if id(node) not in inner and catches_all(node)}
    assert found == set(CATCHES_ALL)


@pytest.mark.parametrize("file", [*HOST, *OURS], ids=name_of)
def test_nothing_is_too_long_to_read(file):
    lines = len(file.read_text("utf-8").splitlines())
    assert lines <= LONGEST_MODULE or name_of(file) in LONG_MODULES
    lengths = {function.name: function.end_lineno - function.lineno + 1 for function in functions(file)}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def test_no_exception_outlives_its_reason():
    for place in LONG_MODULES:
        assert len((ROOT / place).read_text("utf-8").splitlines()) > LONGEST_MODULE


@pytest.mark.parametrize("kind", HOOKS)
class TestHooks:
    def documentation(self, kind):
        return " ".join((getattr(hookspecs, HOOKS[kind]).__doc__ or "").split())

    def test_says_what_it_makes_when_it_is_asked_and_what_a_failure_does(self, kind):
        text = self.documentation(kind)
        assert text.startswith("Make the ")
        assert "`name`" in text
        assert "Asked " in text
        assert re.search(r"Fail(s|ing) |cannot be made", text)

    def test_takes_the_name_first_and_makes_one_part(self, kind):
        hook = getattr(hookspecs, HOOKS[kind])
        arguments = hook.__code__.co_varnames[: hook.__code__.co_argcount]
        assert arguments in (("name",), ("name", "config", "parts"))
        assert getattr(hook, "codex_host_spec")["firstresult"] is True  # noqa: B009

    def test_is_implemented_by_a_plugin(self, kind):
        claimed = {entry.module.partition(".")[0] for entry in installed() if entry.kind == kind}
        assert claimed & MODULES

    def test_is_implemented_with_its_name(self, kind):
        hook = HOOKS[kind]
        assert any(function.name == hook for file in OURS for function in functions(file))


def test_every_hook_is_a_kind():
    hooks = {name for name in vars(hookspecs) if name.startswith("codex_")}
    assert hooks == set(HOOKS.values())


def test_the_sources_are_those_that_are_tested():
    assert len(HOST) > 50
    assert {file.parts[len(ROOT.parts)] for file in OURS} == {"plugins", "plugin-template"}
    assert Path(sys.modules["codex_host"].__file__).is_relative_to(ROOT)
