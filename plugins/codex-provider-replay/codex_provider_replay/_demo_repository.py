"""The repository that the demo makes: texts, since test runners would take files for tests of ours."""

from __future__ import annotations

__all__ = ["FILES"]

FILES = {
    "AGENTS.md": "Run the tests with `python3 -m unittest`.\n",
    ".gitignore": "__pycache__/\n",
    "fair_share.py": '''\
"""Splitting a bill."""


def shares(cents, people):
    """What each person pays, in cents; together exactly the bill."""
    return [cents // people] * people
''',
    "test_fair_share.py": """\
import unittest

from fair_share import shares


class SharesTest(unittest.TestCase):
    def test_even_bill(self):
        self.assertEqual(shares(900, 3), [300, 300, 300])

    def test_no_cent_is_lost(self):
        self.assertEqual(sum(shares(1000, 3)), 1000)
""",
}
"""Path and text of each file. The patch must change the size of `fair_share.py`: else Python would take the
bytecode of the first run for that of the second, if both are within one second."""
