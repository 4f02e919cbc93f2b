"""The host's own commands, one file each; `codex_host._cli` imports the one whose word is typed."""
