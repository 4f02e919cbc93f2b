"""What the distributions say about themselves, and that the tools' settings know each of them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PLUGINS = sorted(file.parent for file in ROOT.glob("plugins/*/pyproject.toml"))


def read(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))


def module_name(folder: Path) -> str:
    return folder.name.replace("-", "_")


every_distribution = pytest.mark.parametrize("folder", [ROOT, *PLUGINS], ids=lambda folder: folder.name)
every_plugin = pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)


@every_distribution
def test_a_distribution_has_a_help_line_a_manual_and_the_common_version_and_licence(folder: Path) -> None:
    about = read(folder)["project"]
    assert 0 < len(about["description"]) <= 70
    assert (folder / about["readme"]).read_text("utf-8").startswith("# ")
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    common = read(ROOT)["project"]
    for key in ("version", "requires-python", "license"):
        assert about[key] == common[key], key


@every_plugin
def test_a_plugin_and_its_module_are_named_like_its_folder(folder: Path) -> None:
    about = read(folder)["project"]
    assert about["name"] == folder.name
    assert (folder / module_name(folder) / "py.typed").is_file()
    assert "codex-host>=0.1,<0.2" in about["dependencies"]


@every_plugin
def test_a_plugins_entry_points_name_modules_of_its_own(folder: Path) -> None:
    groups = read(folder)["project"].get("entry-points", {})
    assert bool(groups) != folder.name.startswith("codex-lib-"), "a library has none, a plugin has some"
    for group, entries in groups.items():
        assert re.fullmatch(r"codex_host\.v1\.[a-z_]+", group)
        for value in entries.values():
            assert (value + ".").startswith(module_name(folder) + ".")


@every_distribution
def test_our_own_names_are_required_in_lockstep(folder: Path) -> None:
    version = read(ROOT)["project"]["version"]
    for requirement in read(folder)["project"]["dependencies"]:
        name = re.split(r"[^\w-]", requirement)[0]
        if name.startswith("codex-") and name != "codex-host":
            assert (ROOT / "plugins" / name).is_dir(), requirement
            assert requirement.partition(";")[0] == f"{name}=={version}"


def test_the_linter_of_imports_knows_every_module_and_its_place() -> None:
    settings = read(ROOT)["tool"]["importlinter"]
    modules = {"codex_host", *map(module_name, PLUGINS)}
    assert set(settings["root_packages"]) == modules
    rows = settings["contracts"][0]["layers"]
    assert {name.strip() for row in rows for name in row.split("|")} == modules


def test_the_constraints_pin_every_requirement_of_ours() -> None:
    pinned = set(re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    document = read(ROOT)
    needed = [*document["dependency-groups"]["dev"], *document["build-system"]["requires"]]
    for folder in (ROOT, *PLUGINS):
        needed += read(folder)["project"]["dependencies"]
    names = {re.split(r"[^\w-]", requirement)[0] for requirement in needed}
    assert {name for name in names if not name.startswith("codex-")} <= pinned
