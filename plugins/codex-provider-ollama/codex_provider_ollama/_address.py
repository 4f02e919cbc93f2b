"""Where Ollama is, by the variable OLLAMA_HOST, read as Ollama's own client reads it (its `envconfig`)."""

from __future__ import annotations

import ipaddress
import re

from codex_host.errors import ConfigError

__all__ = ["base_url"]

DEFAULT = "http://localhost:11434/v1"


def base_url(variable: str) -> str:
    """The address of the OpenAI-compatible API; `variable` is host, host:port or scheme://host:port/path, or empty.

    Raises ConfigError for another scheme than http and https.
    """
    text = variable.strip().strip("\"'").strip()
    if not text:
        return DEFAULT
    if text == "ollama.com":
        return "https://ollama.com:443/v1"
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    ports = {"http": "80" if separator else "11434", "https": "443"}
    if scheme not in ports:
        raise ConfigError(f"the environment variable OLLAMA_HOST is {text!r}; expected host:port, http:// or https://")
    place, _, path = rest.partition("/")
    host, port = _split(place, ports[scheme])
    host = _connectable(host)
    path = f"/{path}".rstrip("/")
    return f"{scheme}://{host}:{port}{path}/v1"


def _split(place: str, default: str) -> tuple[str, str]:
    """Host and port, either of which may be missing; a port that is none counts as missing."""
    found = re.fullmatch(r"(\[.*\]|[^:]*):([^:]*)", place)
    host, port = (found[1], found[2]) if found else (place, default)
    valid = port.isascii() and port.isdecimal() and int(port) <= 65535
    return host.strip("[]"), port if valid else default


def _connectable(host: str) -> str:
    """Where a client finds a server that listens on this host, as a URL has it; "everywhere" is this machine."""
    if not host:
        return "127.0.0.1"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4:
        return "127.0.0.1" if address.is_unspecified else host
    return "[::1]" if address.is_unspecified else f"[{host}]"
