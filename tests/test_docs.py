"""The documentation: current, complete, and naming only what there is."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest

from codex_host import hookspecs
from codex_host._plugins import HOOKS

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
HOST = ROOT / "codex_host"
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        ROOT / "plugin-template" / "README.md",
        *DOCS.rglob("*.md"),
        *ROOT.glob("plugins/*/README.md"),
    ]
)
TOUR = DOCS / "reading-the-host.md"
MANUAL = DOCS / "writing-a-plugin.md"


def text(page: Path) -> str:
    return page.read_text("utf-8")


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text(page), flags=re.DOTALL | re.MULTILINE)


def defined(folder: Path) -> set[str]:
    """Every class and function of a package; a method also with its class in front."""
    names: set[str] = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(text(file))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                names.add(node.name)
            if isinstance(node, ast.ClassDef):
                methods = [item for item in node.body if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))]
                names |= {f"{node.name}.{method.name}" for method in methods}
    return names


def aliases() -> set[str]:
    """What the public modules give a name by assigning it: unions, constants, `hookimpl`."""
    trees = [ast.parse(text(file)) for file in HOST.glob("[a-z]*.py")]
    assigned = [node.targets[0] for tree in trees for node in tree.body if isinstance(node, ast.Assign)]
    return {target.id for target in assigned if isinstance(target, ast.Name)}


def generate(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(DOCS / "generate.py"), *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("columns", ["40", "250"])
def test_generated_pages_are_current_however_wide_the_terminal(columns: str) -> None:
    done = generate("--check", COLUMNS=columns)
    assert done.returncode == 0, done.stdout + done.stderr


def test_generated_pages_do_not_depend_on_what_else_is_installed(tmp_path: Path) -> None:
    metadata = tmp_path / "codex_command_strange-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: codex-command-strange\nVersion: 1.0\nSummary: Strange\n")
    claims = "[codex_host.v1.command]\nstrange=strange\n[codex_host.v1.frontend]\nexec=strange\n"
    (metadata / "entry_points.txt").write_text(claims)
    done = generate("--check", PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_hook_is_documented_with_all_its_arguments() -> None:
    page = text(DOCS / "hooks.md")
    hooks = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("codex_")}
    assert set(hooks) == set(HOOKS.values())
    for name, hook in hooks.items():
        assert isinstance(hook, FunctionType)
        arguments = ", ".join(
            f"{argument}: {hook.__annotations__[argument]}" for argument in inspect.signature(hook).parameters
        )
        assert f"### `{name}`" in page
        assert f"def {name}({arguments}) -> {hook.__annotations__['return']}\n" in page
        assert (inspect.getdoc(hook) or "no docstring") in page


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_listed_in_the_index() -> None:
    linked = {(DOCS / link).resolve() for link in re.findall(r"\]\(([^)#\s]+)", text(DOCS / "index.md"))}
    assert set(PAGES) - {DOCS / "index.md", ROOT / "plugin-template" / "README.md"} <= linked


def test_the_code_of_the_manual_is_cut_from_the_template() -> None:
    blocks = re.findall(r"(.*)\n```(?:python|toml)\n", text(MANUAL))
    cut = [line for line in blocks if line.startswith("<!-- from plugin-template/")]
    assert len(cut) >= 5
    assert len(blocks) - len(cut) == 1, "only the example of wrapping is written by hand"


def test_the_manual_has_every_kind_with_its_hook_and_its_contract() -> None:
    sections = text(MANUAL).split("## The other kinds")[1]
    classes = defined(HOST / "testing")
    for kind, hook in HOOKS.items():
        assert re.search(rf"^### .*\b{kind}\b", sections, re.MULTILINE), kind
        assert f"`{hook}`" in sections
        contract = kind.title().replace("_", "") + "Contract"
        assert (f"`{contract}`" in sections) == (contract in classes), contract


def test_the_errors_of_the_manual_are_those_of_the_code() -> None:
    source = re.sub(r'"\s*\n\s*f?"', "", "".join(text(file) for file in HOST.glob("_*.py")))
    source = source.replace("{word} called", "provider called")
    doing = re.findall(r'guarded\([^"]*"([^"{]+)', source)
    rows = re.findall(r"^\| (`.+?) \|", text(MANUAL), re.MULTILINE)
    assert len(rows) > 8
    for phrase in re.findall(r"`([^`]+)`", " ".join(rows)):
        raised = any(f"failed {what}".startswith(phrase) for what in doing)
        assert raised or phrase in source, phrase


@pytest.mark.parametrize("page", [TOUR, MANUAL, *sorted(DOCS.glob("adr/*.md"))], ids=lambda page: page.stem)
def test_what_the_hand_written_pages_name_exists(page: Path) -> None:
    names = defined(HOST) | defined(ROOT / "plugins") | aliases()
    words = re.findall(r"`([^`\n]+)`", prose(page))
    for word in words:
        if re.fullmatch(r"[\w./-]+(\.py|/)", word) and "template" not in word:
            assert (HOST / word).exists() or (ROOT / word).exists(), word
        for name in re.findall(r"([\w.]+)\(", word) + re.findall(r"^[A-Z][a-z]\w+$", word):
            known = name if name[0].isupper() else name.rpartition(".")[2]  # `config.plugin` is of no class
            assert known in names, name


def test_what_the_picture_names_exists() -> None:
    names = defined(HOST)
    picture = re.findall(r"```\n(.*?)```", text(TOUR), re.DOTALL)[1]
    files, calls = re.findall(r"\b\w+\.py\b", picture), re.findall(r"([\w.]+)\(\)", picture)
    assert len(files) >= 8
    assert len(calls) >= 8
    assert [file for file in files if not (HOST / file).exists()] == []
    assert [name for name in calls if name not in names] == []


def test_the_tour_has_a_row_for_every_room() -> None:
    rooms = re.findall(r"`([^`\n]+)`", " ".join(re.findall(r"^\| (`.+?) \|", text(TOUR), re.MULTILINE)))
    modules = {file.name for file in HOST.glob("*.py")} - {"__init__.py"}
    assert sorted(rooms) == sorted([*modules, "_commands/"])


def test_decisions_are_numbered_and_have_three_parts() -> None:
    records = sorted((DOCS / "adr").glob("*.md"))
    for number, record in enumerate(records, 1):
        assert record.name.startswith(f"{number:04}-")
        assert text(record).startswith(f"# {number}. ")
        assert re.findall(r"^## (.+)$", text(record), re.MULTILINE) == ["Context", "Decision", "Consequences"]


def test_the_readme_begins_with_the_two_commands() -> None:
    first = re.search(r"^```\n(.*?)^```", text(ROOT / "README.md"), re.DOTALL | re.MULTILINE)
    assert first
    assert first[1].splitlines() == ["python3 dev.py demo", "python3 dev.py test"]
