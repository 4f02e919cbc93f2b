"""Sandboxed spawns against bare ones, in one process, taking turns; prints the two medians in milliseconds as JSON."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from codex_host._parts import LentParts
from codex_host._plugins import Plugins
from codex_host._process import _restricted
from codex_host._sandbox_choice import launch_in
from codex_host.actions import Exec
from codex_host.config import Config
from codex_host.permissions import WORKSPACE_WRITE, resolve

ROUNDS = 200


def main(ballast: int) -> None:
    """`ballast` is how many MiB the parent holds meanwhile."""
    held = bytearray(os.urandom(1 << 20) * ballast)
    here = Path.cwd().resolve()
    config = Config(home=here / "none")
    found = LentParts(Plugins(), config).found("sandbox", "landlock")
    fence = resolve(WORKSPACE_WRITE, here, here)
    command, env = Exec(("/bin/true",), here), dict(os.environ)

    def sandboxed() -> None:
        launch = launch_in(found, command, env, fence)
        try:
            _restricted(launch, {}).wait()
        finally:
            if launch.close is not None:
                launch.close()

    def bare() -> None:
        subprocess.Popen(["/bin/true"], env=env, cwd=here).wait()

    times = taking_turns({"bare": bare, "sandboxed": sandboxed})
    print(json.dumps({name: statistics.median(values) * 1000 for name, values in times.items()}))
    del held


def taking_turns(runs: dict[str, Callable[[], None]]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(ROUNDS):
        order = list(runs) if number % 2 else list(reversed(runs))
        for name in order:
            began = time.perf_counter()
            runs[name]()
            times[name].append(time.perf_counter() - began)
    return times


with contextlib.suppress(KeyboardInterrupt):
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
