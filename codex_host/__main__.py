"""`python -m codex_host`: the command line, where no `codex` is on the PATH."""

from codex_host._cli import main

main()
