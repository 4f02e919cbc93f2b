"""Landlock rules, seccomp programs and dropped capabilities: what sandboxes for Linux hold a command back
with.

A library for sandbox plugins, not a plugin: it makes no part and has no entry points. The way in is
`restriction.Restrictions`; read `rules` for what a fence means to landlock, and the distribution's
`make_programs.py` for what the seccomp programs refuse. All modules can be imported on any platform.
"""
