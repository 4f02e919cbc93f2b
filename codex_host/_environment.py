"""The environment that a command of the model gets: the user's, without secrets and without ways past the sandbox."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from codex_host._secrets import looks_secret
from codex_host.permissions import Fence, Network

__all__ = ["child_environment"]

_WAYS_OUT = frozenset(
    {
        "SSH_AUTH_SOCK",
        "SSH_AGENT_PID",
        "DBUS_SESSION_BUS_ADDRESS",
        "DOCKER_HOST",
        "XDG_RUNTIME_DIR",
        "WAYLAND_DISPLAY",
        "DISPLAY",
        "GPG_AGENT_INFO",
    }
)
"""Variables that lead to sockets of the user's other programs; they stay where the network is open."""


def child_environment(environ: Mapping[str, str], fence: Fence, secrets: Iterable[str]) -> dict[str, str]:
    """The whole environment of one command.

    Removed are variables whose names look like secrets, those whose values contain one of `secrets`, and, where the
    network is closed, those that lead to sockets. `CODEX_SANDBOX_NETWORK_DISABLED=1` says that the network is closed;
    TMPDIR points to `fence.temp`. Pagers are switched off, since nobody is there to leave one.
    """
    known = [secret for secret in secrets if secret]
    child = {
        name: value
        for name, value in environ.items()
        if not looks_secret(name) and not any(secret in value for secret in known)
    }
    if fence.network is Network.NONE:
        child = {name: value for name, value in child.items() if name not in _WAYS_OUT}
        child["CODEX_SANDBOX_NETWORK_DISABLED"] = "1"
    if fence.temp is not None:
        child["TMPDIR"] = str(fence.temp)
    child["PAGER"] = child["GIT_PAGER"] = "cat"
    return child
