#!/usr/bin/env python3
"""Work on this checkout: bring .venv up to date where something changed, then run one of these.

    dev.py demo           play the recorded demonstration
    dev.py run [ARGS]     run codex
    dev.py test [ARGS]    run pytest; with -m "" the slow tests too
    dev.py check          lint, format, types, directions of imports, reference docs
    dev.py docs           write the reference docs anew
    dev.py bench [ARGS]   run the benchmarks
    dev.py build [FOLDER] put a wheel of every distribution into dist/, or that folder

Needs Python 3.10 or later and nothing else. What it installs stays in .venv.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

if sys.version_info < (3, 10):  # noqa: UP036
    sys.exit("codex-host needs Python 3.10 or later; this is " + sys.version)

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
STAMP = VENV / "up-to-date.json"
CONSTRAINTS = ROOT / "constraints.txt"
PROJECTS = [ROOT, *sorted(file.parent for file in ROOT.glob("plugins/*/pyproject.toml"))]
PROGRAMS = {
    "demo": ["codex demo"],
    "run": ["codex"],
    "test": ["pytest"],
    "check": ["ruff check", "ruff format --check", "mypy", "lint-imports", "python docs/generate.py --check"],
    "docs": ["python docs/generate.py"],
    "bench": ["python benchmarks/run.py"],
}
# These make Python or pip look or write elsewhere than in .venv, or leave modules without bytecode.
DISTURBING = "PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE PIP_TARGET PIP_PREFIX PIP_ROOT PIP_USER"


def main(command: str = "", *arguments: str) -> None:
    """Run one command; the exit code is that of its program, the worst if there are several."""
    if command not in {*PROGRAMS, "build"}:
        sys.exit(f"There is no command {command!r}.\n\n{__doc__}" if command else __doc__)
    python = os.path.realpath(sys.executable)
    if Path(sys.prefix).resolve() == VENV and VENV not in Path(python).parents:
        os.execv(python, [python, *sys.argv])  # .venv has no pip, and cannot replace the Python that it runs
    set_up()
    if command not in {"demo", "run"}:  # codex works in the folder where it is started
        os.chdir(ROOT)
    if command == "build":
        folder = arguments[0] if arguments else "dist"
        pip("wheel", "--no-index", "--no-deps", "--no-build-isolation", "-w", folder, *map(str, PROJECTS))
        return
    programs = [[str(BIN / name), *rest, *arguments] for name, *rest in map(str.split, PROGRAMS[command])]
    if len(programs) == 1 and os.name != "nt":
        os.execv(programs[0][0], programs[0])
    sys.exit(max([subprocess.call(program) for program in programs]))


def set_up() -> None:
    """Make .venv what the pyprojects and the constraints ask for; where nothing changed, do nothing.

    Another Python, a moved checkout or a distribution that is gone makes a new .venv; otherwise the
    projects that changed are installed again. The stamp is written last: what was interrupted starts afresh.
    """
    with open(__file__) as lock:
        with contextlib.suppress(ImportError):  # Windows has none: start one of these at a time there
            fcntl = importlib.import_module("fcntl")
            fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = fingerprint()
        present = json.loads(STAMP.read_text()) if STAMP.is_file() else {}
        if present == wanted:
            return
        print("Setting up .venv ...", file=sys.stderr)
        if not os.access(ROOT, os.W_OK):
            sys.exit(f"dev.py keeps everything in {VENV}, and {ROOT} may not be written; copy the checkout first.")
        if present.get("python") != wanted["python"] or present.keys() - wanted.keys():
            make_venv()
            present = {}
        changed = [str(project) for project in PROJECTS if present.get(str(project)) != wanted[str(project)]]
        STAMP.unlink(missing_ok=True)
        pip("install", "-c", str(CONSTRAINTS), *requirements())
        # Ours go by path and without dependencies, so that no index is ever asked for one of our names.
        editable = [argument for project in changed for argument in ("-e", project)]
        pip("install", "--no-index", "--no-deps", "--no-build-isolation", *editable)
        STAMP.write_text(json.dumps(wanted))


def fingerprint() -> dict[str, str]:
    """What .venv is made from: the Python, and each project with the constraints by their contents."""
    constraints = CONSTRAINTS.read_bytes()
    contents = {project: (project / "pyproject.toml").read_bytes() + constraints for project in PROJECTS}
    hashes = {str(project): hashlib.sha256(content).hexdigest() for project, content in contents.items()}
    return {"python": f"{sys.base_prefix} {sys.version}", **hashes}


def requirements() -> list[str]:
    """All that our distributions need to be built, used and worked on, less our distributions."""
    sys.path.extend(map(str, VENV.glob("lib/*/site-packages")))  # on Python 3.10 the parser comes with pip
    parser = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "pip._vendor.tomli")
    needed: set[str] = set()
    for project in PROJECTS:
        document = parser.loads((project / "pyproject.toml").read_text("utf-8"))
        about = document["project"]
        groups = about.get("optional-dependencies", {}) | document.get("dependency-groups", {})
        needed.update(about["dependencies"], document["build-system"]["requires"], *groups.values())
    return sorted(requirement for requirement in needed if not requirement.startswith("codex-"))


def make_venv() -> None:
    """Make .venv anew, with a pip of its own only where this Python's cannot install into it."""
    version = "0"
    with contextlib.suppress(ImportError):
        version = importlib.import_module("pip").__version__
    needs_pip = tuple(map(int, version.split(".")[:2])) < (22, 3)
    try:
        venv.create(VENV, clear=True, symlinks=os.name != "nt", with_pip=needs_pip)
    except subprocess.CalledProcessError:
        sys.exit("This Python has neither pip 22.3 nor ensurepip. On Debian: apt install python3-venv")


def pip(*arguments: str) -> None:
    """Run pip for .venv, and end if it fails."""
    python = str(BIN / "python")
    own = any(BIN.glob("pip*"))
    program = [python, "-m", "pip"] if own else [sys.executable, "-m", "pip", "--python", python]
    if subprocess.call([*program, "--quiet", *arguments]):
        sys.exit("dev.py: pip failed.")


if __name__ == "__main__":
    for name in DISTURBING.split():
        os.environ.pop(name, None)
    main(*sys.argv[1:])
