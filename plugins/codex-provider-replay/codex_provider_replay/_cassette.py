"""Reading a cassette; its format is described in the package's docstring."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from codex_host.errors import ConfigError

__all__ = ["Cassette", "Exchange", "read"]

VERSION = 1


@dataclass(frozen=True, slots=True)
class Exchange:
    """One recorded request and its answer. `line` is where it stands, `pieces` are the answer's body in order."""

    line: int
    method: str
    path: str
    status: int
    headers: Mapping[str, str]
    pieces: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Cassette:
    """All exchanges of a recorded run, and the wire that it spoke."""

    file: Path
    wire_api: str
    exchanges: tuple[Exchange, ...]


def read(file: Path) -> Cassette:
    """The cassette in a file, checked as a whole; blocking. Raises ConfigError that names file and line."""
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"there is no cassette {file}; [plugins.replay] cassette is a path, relative to CODEX_HOME or absolute"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the cassette {file} cannot be read: {error}") from None
    lines = [_Line(file, number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise ConfigError(f"the cassette {file} is empty; record it anew, or name another one")
    header, *others = lines
    exchanges = tuple(line.exchange() for line in others if line.data.get("type") == "exchange")
    return Cassette(file, header.wire_api(), exchanges)


class _Line:
    """One line, taken apart; each method raises ConfigError for what it does not find as it should be."""

    def __init__(self, file: Path, number: int, text: str) -> None:
        self._file = file
        self._number = number
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            self._bad(f"no JSON ({error})")
        if not isinstance(data, dict):
            self._bad("no JSON object")
        self.data: dict[str, Any] = data

    def wire_api(self) -> str:
        """What the header says of the wire."""
        if self.data.get("type") != "cassette":
            self._bad('the first line has to be the header, {"type": "cassette", "version": 1, "wire_api": ...}')
        version = self.data.get("version")
        if version != VERSION or isinstance(version, bool):
            self._bad(
                f"this is version {version!r} of the format, and only {VERSION} can be played",
                "update codex-provider-replay",
            )
        return self._text(self.data, "wire_api")

    def exchange(self) -> Exchange:
        """The exchange that the line holds."""
        request, response = self._object("request"), self._object("response")
        status = response.get("status", 200)
        if not isinstance(status, int) or not 100 <= status <= 599:
            self._bad(f"response.status: expected a number from 100 to 599, got {status!r}")
        headers = response.get("headers", {})
        if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
            self._bad(f"response.headers: expected an object of texts, got {headers!r}")
        return Exchange(
            line=self._number,
            method=self._text(request, "method"),
            path=self._text(request, "path"),
            status=status,
            headers={name.lower(): value for name, value in headers.items()},
            pieces=self._pieces(response),
        )

    def _pieces(self, response: Mapping[str, Any]) -> tuple[bytes, ...]:
        """The answer's body: its events spelled out, or its texts."""
        if ("events" in response) == ("body" in response):
            self._bad("response: expected `events` or `body`, one of the two")
        if "events" in response:
            return tuple(map(self._event, self._list(response, "events")))
        body = response["body"]
        texts = [body] if isinstance(body, str) else self._list(response, "body")
        if not all(isinstance(text, str) for text in texts):
            self._bad("response.body: expected a text, or a list of texts")
        return tuple(map(_encoded, texts))

    def _event(self, event: Any) -> bytes:
        """One server event as it goes over the network (WHATWG HTML, 9.2.6)."""
        if not isinstance(event, dict) or "data" not in event or not isinstance(event.get("event", ""), str):
            self._bad('response.events: expected objects such as {"event": "...", "data": ...}')
        data = event["data"]
        text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        lines = [f"event: {event['event']}"] if "event" in event else []
        lines += [f"data: {line}" for line in text.split("\n")]
        return _encoded("\n".join(lines) + "\n\n")

    def _object(self, key: str) -> dict[str, Any]:
        value = self.data.get(key)
        if not isinstance(value, dict):
            self._bad(f"{key}: expected an object, got {value!r}")
        return value

    def _list(self, response: Mapping[str, Any], key: str) -> list[Any]:
        value = response[key]
        if not isinstance(value, list):
            self._bad(f"response.{key}: expected a list, got {value!r}")
        return value

    def _text(self, data: Mapping[str, Any], key: str) -> str:
        value = data.get(key)
        if not isinstance(value, str) or not value:
            self._bad(f"{key}: expected a text that is not empty, got {value!r}")
        return value

    def _bad(self, reason: str, remedy: str = "repair the line, or record the cassette anew") -> NoReturn:
        raise ConfigError(f"the cassette {self._file}, line {self._number}: {reason}; {remedy}") from None


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # JSON can spell half a character; a server may have sent it
