"""Secrets: which variables hold them by their names, and keeping known ones out of texts."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["holds_secret", "looks_secret", "mask"]

_SECRET_NAME = re.compile(r"KEY|SECRET|TOKEN|PASS|_PWD$|_PAT$|_AUTH$|CREDENTIAL", re.IGNORECASE)
_PASSWORD_IN_ADDRESS = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
_SHORTEST = 8
"""A known secret shorter than this is not looked for within texts: keys such as "x" or "local" are ordinary words."""


def looks_secret(name: str) -> bool:
    """Whether an environment variable of this name probably holds a secret."""
    return _SECRET_NAME.search(name) is not None


def holds_secret(value: str, secrets: Iterable[str]) -> bool:
    """Whether a variable's value is one of the secrets, or has one in it."""
    return any(secret == value or (len(secret) >= _SHORTEST and secret in value) for secret in secrets if secret)


def has_credentials(value: str) -> bool:
    """Whether a value holds an address with a password in it (RFC 3986, 3.2.1), as that of a proxy or a database."""
    return _PASSWORD_IN_ADDRESS.search(value) is not None


def mask(text: str, secrets: Iterable[str]) -> str:
    """The text with each of the secrets replaced by `***`."""
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, "***")
    return text
