"""Every speed that is promised, as a ratio to a reference that is measured in the same run.

    python benchmarks/run.py [--rounds N] [NAME ...]

Both sides of a ratio take turns, so that a busy machine slows both; the medians are compared. CPU is user and system time
of the whole process, memory its peak. Exit code 1 if a limit is passed. The interpreter is the one that runs this file,
never a version manager's wrapper, and bytecode is present: each command runs once before it counts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTHON = sys.executable
CODEX = str(Path(sys.executable).parent / "codex")
SCRIPT = {"replies": [{"reply": [{"say": "Good morning, this is an answer of some words.", "deltas": 20}]}], "repeat": True}


@dataclass(frozen=True)
class Cost:
    """What one run of a command cost: CPU in milliseconds, peak memory in MiB."""

    cpu: float
    memory: float


@dataclass(frozen=True)
class Result:
    name: str
    what: str
    ours: float
    reference: float
    limit: float

    @property
    def ratio(self) -> float:
        return self.ours / self.reference


def cost(argv: list[str], env: Mapping[str, str], cwd: str) -> Cost:
    """Run a command to its end, which must be a good one."""
    process = subprocess.Popen(argv, env=env, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{argv} ended with {process.returncode}")
    return Cost((usage.ru_utime + usage.ru_stime) * 1000, usage.ru_maxrss / 1024)


def compare(ours: list[str], reference: list[str], rounds: int, env: Mapping[str, str], cwd: str) -> tuple[Cost, Cost]:
    """The median costs of two commands that take turns."""
    costs: dict[int, list[Cost]] = {0: [], 1: []}
    for number in range(rounds + 1):
        for which in (0, 1) if number % 2 else (1, 0):
            costs[which].append(cost((ours, reference)[which], env, cwd))
    median = [
        Cost(statistics.median(c.cpu for c in costs[which][1:]), statistics.median(c.memory for c in costs[which][1:]))
        for which in (0, 1)
    ]
    return median[0], median[1]


def start(rounds: int, env: Mapping[str, str], cwd: str) -> list[Result]:
    """Looking is free: `--version` and `--help` against the import of click alone."""
    results = []
    click = [PYTHON, "-c", "import click"]
    for option, limit in (("--version", 1.5), ("--help", 1.7)):
        ours, reference = compare([CODEX, option], click, rounds, env, cwd)
        results.append(Result(f"codex {option}", "cpu / import click", ours.cpu, reference.cpu, limit))
    return results


def text_turn(rounds: int, env: Mapping[str, str], cwd: str) -> list[Result]:
    """One prompt and its streamed answer, against the least that one would write with httpx."""
    results = []
    script = Path(cwd) / "script.json"
    script.write_text(json.dumps(SCRIPT))
    serve = [PYTHON, "-m", "codex_host.testing.model_server", "--script", str(script)]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            base_url = server.stdout.readline().strip()
            for wire in ("responses", "chat"):
                provider = f"{{name='Bench', base_url='{base_url}', wire_api='{wire}', env_key='BENCH_KEY'}}"
                words = ["-m", "m", "--model-provider", "bench", "-c", f"model_providers.bench={provider}", "hello"]
                ours, reference = compare(
                    [CODEX, "exec", "--skip-git-repo-check", *words],
                    [PYTHON, str(HERE / "minimal_client.py"), base_url, wire],
                    rounds,
                    env,
                    cwd,
                )
                what = "cpu / minimal httpx client"
                results.append(Result(f"text turn, {wire}", what, ours.cpu, reference.cpu, 1.3))
                what = "memory / minimal httpx client"
                results.append(Result(f"text turn, {wire}", what, ours.memory, reference.memory, 1.5))
        finally:
            server.terminate()
    return results


def spawn(rounds: int, env: Mapping[str, str], cwd: str) -> list[Result]:
    """A command in the sandbox against the same without, also from a large process."""
    results = []
    for ballast in (0, 400):
        printed = subprocess.check_output([PYTHON, str(HERE / "spawn.py"), str(ballast)], env=env, cwd=cwd)
        times = json.loads(printed)
        name = "sandboxed spawn" + (f", {ballast} MiB held" if ballast else "")
        results.append(Result(name, "wall / bare spawn", times["sandboxed"], times["bare"], 4.0))
    return results


GROUPS: dict[str, Callable[[int, Mapping[str, str], str], list[Result]]] = {
    "start": start,
    "text-turn": text_turn,
    "spawn": spawn,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*GROUPS, []], metavar="NAME", help=f"one of {', '.join(GROUPS)}")
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    passed = True
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        env = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")}
        env |= {"CODEX_HOME": str(home), "BENCH_KEY": "not-a-secret"}
        print(f"Python {sys.version.split()[0]}, medians of {options.rounds} rounds, ms or MiB")
        for name in options.names or GROUPS:
            for result in GROUPS[name](options.rounds, env, folder):
                verdict = "ok" if result.ratio <= result.limit else "TOO MUCH"
                passed = passed and result.ratio <= result.limit
                print(
                    f"{result.name:32} {result.what:30} {result.ours:8.2f} / {result.reference:8.2f} "
                    f"= {result.ratio:5.2f}  (<= {result.limit})  {verdict}",
                    flush=True,
                )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
