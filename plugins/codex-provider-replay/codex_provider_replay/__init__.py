"""Play a recorded conversation: no key, no network, no model.

The provider `replay` answers the requests of a run from a cassette, one after the other. A cassette is UTF-8
text with a JSON object on each line; `type` says what it is:

    {"type": "cassette", "version": 1, "wire_api": "responses"}
    {"type": "exchange", "request": {"method": "POST", "path": "/responses", "body": {...}},
     "response": {"status": 200, "headers": {"content-type": "text/event-stream"},
                  "events": [{"event": "response.created", "data": {...}}, ...]}}

(Here an exchange takes three lines; in the file it takes one.) The first line is the cassette's header. Each
further line is one exchange, in the order in which the requests were made:

* `request`: `path` is what follows the provider's `base_url`, without a query. `body` is the request's JSON,
  left out where there is nothing to compare; playing looks at method and path only.
* `response`: `status`, 200 if left out; `headers`, none if left out; and the body in one of two spellings.
  `events` are those of a server-sent event stream: `event` is left out where the stream has none, `data` is
  JSON, or the data itself where it is a text (`"[DONE]"`). `body` is a text, or a list of texts that come one
  after the other; for answers that are no event stream, and for streams that are to be played as they were,
  broken ones included.

Members and types of lines that a reader does not know are ignored, empty lines too; so what a recorder has to
add needs no new version. A recorder appends a line when an exchange is over, so a cassette is good after any
of its lines. No place in it is meant for a secret: of a request's headers and query nothing is kept, of the
reply's headers only `content-type` and `retry-after` are of use.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codex_host.errors import ConfigError
from codex_host.hookspecs import hookimpl

if TYPE_CHECKING:
    from codex_host.config import Config
    from codex_host.parts import Provider

__all__ = ["codex_provider"]

_KEYS = ("cassette", "wire_api")


@hookimpl
def codex_provider(name: str, config: Config) -> Provider | None:
    """The provider `replay`; `[plugins.replay]` takes `cassette` and `wire_api`. Reads no file yet."""
    if name != "replay":
        return None
    from codex_provider_replay._provider import ReplayProvider

    table = config.plugin("replay")
    for key in table:
        if key not in _KEYS:
            raise ConfigError(f"[plugins.replay] has no key {key!r}; it takes {' and '.join(_KEYS)}")
    cassette = _text(table, "cassette", None)
    wire_api = _text(table, "wire_api", "responses")
    return ReplayProvider(
        name="Replay", base_url="replay://cassette", wire_api=wire_api, cassette=_path(cassette, config.home)
    )


def _text(table: Mapping[str, Any], key: str, default: str | None) -> str:
    value = table.get(key, default)
    if value is None:
        raise ConfigError(
            'the provider "replay" has nothing to play; name a file: [plugins.replay] cassette = "run.jsonl"'
        )
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"[plugins.replay] {key}: expected a text that is not empty, got {value!r}")
    return value


def _path(cassette: str, home: Path) -> Path:
    try:
        return home / Path(cassette).expanduser()
    except RuntimeError:
        raise ConfigError(f"[plugins.replay] cassette: {cassette!r} names no home folder; give a whole path") from None
