"""The kit that plugin authors test with: a contract class for each kind of part, a scripted model server, fixtures.

Import what you need from its modules, for example `codex_host.testing.provider.ProviderContract`.
"""

from __future__ import annotations

import pkgutil
import sys

if "pytest" in sys.modules:  # so that a failing contract test shows the values that it compared
    _modules = (f"codex_host.testing.{module.name}" for module in pkgutil.iter_modules(__path__))
    sys.modules["pytest"].register_assert_rewrite(*(name for name in _modules if name not in sys.modules))
