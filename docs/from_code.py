"""Reference pages read from the source text: every public class and function with its signature and docstring.

The text is parsed, not imported, so a page is the same on every Python and platform.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from textwrap import dedent

PACKAGE = Path(__file__).resolve().parent.parent / "codex_host"

Function = ast.FunctionDef | ast.AsyncFunctionDef

_SECTION = re.compile(r"# --- (.+?) -*$")
_LONGEST = 6
"""Lines of a constant's value that are shown; of a longer one only the name."""


def hooks() -> str:
    """The hooks, in the order of their file."""
    return _page("Hooks", "", "hookspecs")


def parts() -> str:
    """The base classes of parts, and what the host lends."""
    return _page("Parts", "", "parts")


def data() -> str:
    """What parts get and return."""
    intro = "What parts get and what they return: plain data, frozen."
    return _page("Data", intro, "items", "actions", "permissions")


def events() -> str:
    """What watchers are told, and what a session's log holds."""
    intro = "Events go to people and observers while a session is at work; records are what is kept of it."
    return _page("Events and records", intro, "events", "records")


def helpers() -> str:
    """Functions that plugins need again and again."""
    intro = "What plugins of several kinds need, so that nobody has to write it twice."
    return _page("Helpers", intro, "text", "server_errors", "programs", "patches", "running")


def testing() -> str:
    """The kit that plugin authors test with: what each contract checks."""
    intro = "The kit for a plugin's own tests. For each contract class this page lists the promises that it checks."
    public = {file.stem for file in (PACKAGE / "testing").glob("*.py") if not file.name.startswith("_")}
    names = ["contract", *sorted(public - {"contract"})]
    return _page("The testing kit", intro, *(f"testing.{name}" for name in names))


def _page(title: str, intro: str, *modules: str) -> str:
    """A page about some modules; one alone needs no heading of its own."""
    lines = [f"# {title}", "", *([intro, ""] if intro else [])]
    for name in modules:
        module = Module((PACKAGE / f"{name.replace('.', '/')}.py").read_text("utf-8"))
        lines += [f"## codex_host.{name}", ""] if len(modules) > 1 else []
        lines += module.described()
    return "\n".join(lines).rstrip("\n") + "\n"


@dataclass(frozen=True)
class Module:
    """One file of Python."""

    source: str

    def described(self) -> list[str]:
        """The docstring, then every public name, under the headings of the file's sections."""
        tree = ast.parse(self.source)
        lines = self.source.splitlines()
        text = _doc(tree)
        exported, last = _exported(tree), 0
        for node, following in zip_longest(tree.body, tree.body[1:]):
            sections = (_SECTION.match(line) for line in lines[last : node.lineno])
            text += [line for section in sections if section for line in (f"## {section[1]}", "")]
            last = node.end_lineno or last
            name = _name(node)
            if name and not name.startswith("_") and name in exported:
                text += [f"### `{name}`", "", *self._one(node, following)]
        return text

    def _one(self, node: ast.stmt, following: ast.stmt | None) -> list[str]:
        if isinstance(node, ast.ClassDef):
            return self._class(node)
        if isinstance(node, Function):
            return [*_code(self._signature(node)), *_doc(node)]
        value = self._text(node)
        short = value if value.count("\n") < _LONGEST else f"{_name(node)} = ..."
        return [*_code(short), *_note(following)]

    def _class(self, node: ast.ClassDef) -> list[str]:
        """How a class is declared with its fields, its docstring, then its methods."""
        text = [*_code("\n".join(self._declared(node))), *_doc(node)]
        promises = []
        for item in node.body:
            if isinstance(item, Function) and not item.name.startswith("_"):
                if item.name.startswith("test_"):
                    promises.append(f"- `{item.name}`: {_first_sentence(item)}")
                else:
                    text += [f"#### `{node.name}.{item.name}`", ""]
                    text += [*_code(self._signature(item)), *_doc(item)]
        return [*text, *promises, ""] if promises else text

    def _declared(self, node: ast.ClassDef) -> Iterator[str]:
        """The lines of a class up to its fields, each with the text that stands under it."""
        yield from (f"@{ast.unparse(decorator)}" for decorator in node.decorator_list)
        bases = ", ".join(map(ast.unparse, node.bases))
        yield f"class {node.name}({bases}):" if bases else f"class {node.name}:"
        for item, following in zip_longest(node.body, node.body[1:]):
            if isinstance(item, (ast.Assign, ast.AnnAssign)) and not (_name(item) or "_").startswith("_"):
                yield f"    {self._text(item)}"
                yield from (f"    # {line}" for line in _note(following) if line)

    def _signature(self, node: Function) -> str:
        """A function as the file declares it, without its body."""
        lines = self.source.splitlines()
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        text = dedent("\n".join(lines[first - 1 : node.body[0].lineno - 1])).rstrip()
        return text.removesuffix(":").removeprefix("@hookspec(firstresult=True)\n")

    def _text(self, node: ast.stmt) -> str:
        return ast.get_source_segment(self.source, node) or ""


def _exported(tree: ast.Module) -> frozenset[str]:
    """The names of `__all__`, and the hooks."""
    names = [_name(node) or "" for node in tree.body]
    for node in tree.body:
        if isinstance(node, ast.Assign) and _name(node) == "__all__":
            names = [*ast.literal_eval(node.value), *(name for name in names if name.startswith("codex_"))]
    return frozenset(names) - {"hookimpl", "hookspec"}


def _name(node: ast.AST) -> str | None:
    """The name that a statement makes, if it makes one."""
    match node:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return name
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
    return None


def _code(text: str) -> list[str]:
    return ["```python", text, "```", ""]


def _doc(node: ast.Module | ast.ClassDef | Function) -> list[str]:
    doc = ast.get_docstring(node)
    return [doc, ""] if doc else []


def _first_sentence(node: Function) -> str:
    return " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())


def _note(node: ast.stmt | None) -> Sequence[str]:
    """The text that stands under an assignment, if there is one."""
    match node:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return [" ".join(text.split()), ""]
    return []
