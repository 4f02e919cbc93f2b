"""The wires against servers that others wrote: the real `codex exec`, a tool's calls and their outputs."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from codex_host.testing.fixtures import CodexRun, RunCodex

pytestmark = [pytest.mark.slow, pytest.mark.independent]

WIRES = [("chat", ""), ("responses", ""), ("responses", "disable_response_storage = true")]
"""Neither server keeps a conversation, so that the second case stands for all that were told to and do not."""


def run(run_codex: RunCodex, home: Path, base_url: str, wire: str, more: str, model: str) -> CodexRun:
    """Ask about the files in a folder with one file."""
    config = f'model = "{model}"\nmodel_provider = "other"\n{more}\n[model_providers.other]\nname = "Other"\n'
    (home / "config.toml").write_text(f'{config}base_url = "{base_url}"\nwire_api = "{wire}"\n')
    work = home.parent / "work"
    (work / ".git").mkdir(parents=True)
    (work / "a.txt").touch()
    return run_codex("exec", "What files are here?", cwd=work).assert_success()


@pytest.mark.parametrize(("wire", "more"), WIRES)
def test_aimock(run_codex: RunCodex, codex_home: Path, aimock: str, wire: str, more: str) -> None:
    before = len(journal(aimock))
    done = run(run_codex, codex_home, aimock, wire, more, "test-model")
    assert done.stdout == "It echoes one and two, in this order.\n"
    lines = done.stderr.splitlines()
    assert [line for line in lines if line.startswith("    ")] == ["    one", "    two"]
    requests = journal(aimock)[before:]
    assert len(requests) == 2
    assert outputs(requests[-1]["body"]) == ["one", "two"]


@pytest.mark.parametrize(("wire", "more"), WIRES)
def test_transformers_serve(
    run_codex: RunCodex, codex_home: Path, transformers: tuple[str, Path], wire: str, more: str
) -> None:
    """A real tokenizer, chat template, sampler and tool parser."""
    base_url, model = transformers
    done = run(run_codex, codex_home, base_url, wire, more, str(model))
    assert done.stdout == "There is one file, a.txt.\n"
    lines = done.stderr.splitlines()
    assert lines.count("codex: I look at the files.") == 1
    assert lines.count("codex: There is one file, a.txt.") == 1
    assert "    a.txt" in lines
    tokens = lines[-1].removeprefix("tokens: ").split()
    assert int(tokens[0]) > 1000, "the prompt has been counted"
    assert lines[-1].endswith("19 out (0 reasoning)"), "each token of both answers, and the ends of both"


def journal(base_url: str) -> list[Any]:
    """All requests that aimock has got, as it keeps them."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{base_url}/_requests", timeout=10) as reply:
        entries: list[Any] = json.load(reply)
    return [entry for entry in entries if entry["method"] == "POST"]


def outputs(body: Any) -> list[str]:
    """What the tools answered, by the order of their calls; `body` is as aimock sees it, in chat's form."""
    messages = body["messages"]
    calls = [call["id"] for message in messages for call in message.get("tool_calls") or ()]
    answers = {message["tool_call_id"]: message["content"] for message in messages if message["role"] == "tool"}
    assert list(answers) == calls
    return [json.loads(answers[call])["output"].strip() for call in calls]
