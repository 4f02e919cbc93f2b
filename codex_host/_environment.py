"""The environment that a command of the model gets: the user's, without secrets and without ways past the sandbox."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from codex_host._secrets import has_credentials, holds_secret, looks_secret
from codex_host.config import EnvironmentPolicy
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
"""Variables that lead to the user's other programs, which would act outside the fence."""

_CORE = frozenset({"HOME", "LOGNAME", "PATH", "SHELL", "USER", "USERNAME", "TMPDIR", "TEMP", "TMP"})
"""What `inherit = "core"` leaves."""

_USUAL = EnvironmentPolicy()


def child_environment(
    environ: Mapping[str, str], fence: Fence, secrets: Iterable[str], policy: EnvironmentPolicy = _USUAL
) -> dict[str, str]:
    """The whole environment of one command.

    `environ` is the user's; the policy chooses from it. Removed in any case are variables whose values hold one of
    `secrets` and, where anything is held back, those that lead to sockets, unless the policy sets them itself.
    `CODEX_SANDBOX_NETWORK_DISABLED=1` says that the network is closed; TMPDIR points to `fence.temp`. Pagers are
    switched off, since nobody is there to leave one.
    """
    known = tuple(secrets)
    inherited = _inherited(environ, policy)
    child = {name: value for name, value in inherited.items() if not holds_secret(value, known)}
    if fence.writable is not None or fence.network is Network.NONE:
        child = {name: value for name, value in child.items() if name not in _WAYS_OUT}
    child |= policy.set
    if policy.include_only:
        child = {name: value for name, value in child.items() if _matches(name, policy.include_only)}
    if fence.network is Network.NONE:
        child["CODEX_SANDBOX_NETWORK_DISABLED"] = "1"
    if fence.temp is not None:
        child["TMPDIR"] = str(fence.temp)
    return {**child, **{name: policy.set.get(name, "cat") for name in ("PAGER", "GIT_PAGER")}}


def _inherited(environ: Mapping[str, str], policy: EnvironmentPolicy) -> dict[str, str]:
    """The user's variables that neither `inherit` nor `exclude` nor a name that looks secret keeps away."""
    return {
        name: value
        for name, value in environ.items()
        if (policy.inherit == "all" or (policy.inherit == "core" and name.upper() in _CORE))
        and (policy.ignore_default_excludes or not (looks_secret(name) or has_credentials(value)))
        and not _matches(name, policy.exclude)
    }


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name.upper(), pattern.upper()) for pattern in patterns)
