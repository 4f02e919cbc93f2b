"""codex-host: a coding agent for the terminal whose every behaviour is a plugin.

The public modules are `errors`, `items`, `permissions`, `actions`, `events`, `records`, `text`, `parts`,
`hookspecs`, `config`, `server_errors`, `programs`, `patches`, `running` and `testing`; a module with an
underscore is the host's own. Importing the package imports none of them.
"""

from __future__ import annotations

__version__ = "0.1.0"
