"""Every speed that is promised, as a ratio to a reference that is measured in the same run.

    python benchmarks/run.py [--rounds N] [NAME ...]

Both sides of a ratio take turns, so that a busy machine slows both; the medians are compared. CPU is user and
system time of the whole process, memory its peak. Exit code 1 if a limit is passed. The interpreter is the
one that runs this file, never a version manager's wrapper, and bytecode is present: each command runs once
before it counts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTHON = sys.executable
CODEX = str(Path(sys.executable).parent / "codex")


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


@contextlib.contextmanager
def served(script: object, cwd: str) -> Iterator[str]:
    """A model server that plays the script over and over; its base URL."""
    file = Path(cwd) / "script.json"
    file.write_text(json.dumps({"replies": [script], "repeat": True}))
    serve = [PYTHON, "-m", "codex_host.testing.model_server", "--script", str(file)]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def turn(base_url: str, wire: str) -> tuple[list[str], list[str]]:
    """One prompt, put by codex and by the least that one would write with httpx."""
    provider = f"{{name='Bench', base_url='{base_url}', wire_api='{wire}', env_key='BENCH_KEY'}}"
    chosen = ["-m", "m", "--model-provider", "bench", "-c", f"model_providers.bench={provider}"]
    ours = [CODEX, "exec", "--skip-git-repo-check", *chosen, "hello"]
    return ours, [PYTHON, str(HERE / "minimal_client.py"), base_url, wire]


def text_turn(rounds: int, env: Mapping[str, str], cwd: str) -> list[Result]:
    """One prompt and its streamed answer, against the least that one would write with httpx."""
    results = []
    with served({"reply": [{"say": "Good morning, this is an answer.", "deltas": 20}]}, cwd) as base_url:
        for wire in ("responses", "chat"):
            ours, reference = compare(*turn(base_url, wire), rounds, env, cwd)
            name = f"text turn, {wire}"
            results.append(Result(name, "cpu / minimal httpx client", ours.cpu, reference.cpu, 1.3))
            results.append(Result(name, "memory / minimal httpx client", ours.memory, reference.memory, 1.5))
    return results


def streams(rounds: int, env: Mapping[str, str], cwd: str) -> list[Result]:
    """Long answers in small pieces, against the same client, which reads, decodes and prints each piece."""
    results = []
    for deltas, limit, times in ((20_000, 2.0, rounds // 3), (200_000, 1.0, rounds // 7)):
        with served({"reply": [{"say": "word ", "times": deltas, "deltas": deltas}]}, cwd) as base_url:
            for wire in ("responses", "chat"):
                ours, reference = compare(*turn(base_url, wire), max(times, 1), env, cwd)
                name = f"{deltas} deltas, {wire}"
                results.append(Result(name, "cpu / minimal httpx client", ours.cpu, reference.cpu, limit))
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


def tools(rounds: int, env: Mapping[str, str], cwd: str) -> list[Result]:
    """A call of a tool against a loop of a page without sandbox or policy, also late in a session; a large patch."""
    times = json.loads(subprocess.check_output([PYTHON, str(HERE / "tools.py")], env=env, cwd=cwd))
    call, kept, sent = times["call"], times["responses"], times["chat"]
    return [
        Result("sandboxed tool call", "wall / minimal client", call["ours"], call["reference"], 4.0),
        Result("call 400 to 500, all kept there", "wall / first 100", kept["ours last"], kept["ours first"], 1.5),
        Result(
            "call 400 to 500, all sent anew", "wall / minimal client", sent["ours last"], sent["reference last"], 4.0
        ),
        Result("1000 hunks, 100000 lines", "wall / two seconds", times["patch"], 2000.0, 1.0),
    ]


GROUPS: dict[str, Callable[[int, Mapping[str, str], str], list[Result]]] = {
    "start": start,
    "text-turn": text_turn,
    "streams": streams,
    "spawn": spawn,
    "tools": tools,
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
