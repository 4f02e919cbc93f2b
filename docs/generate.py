"""Write the reference pages from the code, and the code that the hand-written pages show from the files it stands in.

    python docs/generate.py            write what has changed
    python docs/generate.py --check    write nothing; name the pages that are out of date, and exit 1 if there are any

A hand-written page shows code between two marks; what stands between them is replaced:

    <!-- from codex_host/_loop.py#converse -->
    <!-- end -->

The part after `#` is a function or class of a Python file, or a table of a TOML file; without it the whole file is
shown.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import from_code
import from_objects

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent

GENERATED = {
    "hooks.md": from_code.hooks,
    "parts.md": from_code.parts,
    "data.md": from_code.data,
    "events.md": from_code.events,
    "helpers.md": from_code.helpers,
    "testing.md": from_code.testing,
    "exit-codes.md": from_objects.exit_codes,
    "config.md": from_objects.config,
    "cli.md": from_objects.command_line,
}
"""The pages that are made whole, and what makes each."""

NOTE = "<!-- Made by docs/generate.py; change the code instead. -->\n\n"

_SHOWN = re.compile(r"(<!-- from (?P<path>[^\s#]+)(?:#(?P<name>\S+))? -->\n).*?(<!-- end -->)", re.DOTALL)
_LANGUAGES = {".py": "python", ".toml": "toml", ".md": "markdown", ".yml": "yaml"}


def pages() -> dict[Path, str]:
    """Every page that this program has a part in, as it should be."""
    made = {DOCS / name: NOTE + make() for name, make in GENERATED.items()}
    for page in sorted(DOCS.glob("**/*.md")):
        if page not in made:
            made[page] = with_code(page.read_text("utf-8"))
    return made


def with_code(text: str) -> str:
    """The text with all its marks filled. Raises ValueError for a mark that names nothing."""

    def filled(mark: re.Match[str]) -> str:
        path = ROOT / mark["path"]
        code = excerpt(path, mark["name"]) if mark["name"] else path.read_text("utf-8").rstrip("\n")
        return f"{mark[1]}```{_LANGUAGES.get(path.suffix, 'text')}\n{code}\n```\n{mark[4]}"

    return _SHOWN.sub(filled, text)


def excerpt(path: Path, name: str) -> str:
    """A function or class of a Python file, a table of a TOML file, as it stands there."""
    text = path.read_text("utf-8")
    if path.suffix == ".toml":
        found = re.search(rf"^\[{re.escape(name)}\]\n(?:(?!\[).*\n)*", text, re.MULTILINE)
        if found:
            return found[0].rstrip("\n")
    elif path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == name:
                first = min(line.lineno for line in [node, *node.decorator_list])
                return "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    raise ValueError(f"{path.relative_to(ROOT)} has no {name!r}")


def main() -> int:
    """Write or check; the exit code."""
    current = {page: page.read_text("utf-8") if page.exists() else "" for page in pages()}
    stale = {page: text for page, text in pages().items() if current[page] != text}
    for page, text in stale.items():
        print(f"{page.relative_to(ROOT)} {'is out of date' if '--check' in sys.argv else 'written'}")
        if "--check" not in sys.argv:
            page.write_text(text, "utf-8")
    if stale and "--check" in sys.argv:
        print("run `python3 dev.py docs`")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
