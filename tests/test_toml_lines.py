"""On which line a key of a TOML file stands, in files that make it hard to tell."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_host._toml_lines import line_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TRICKY = '''\
# model = "in a comment"
model = "a # b" # c = 1
"quo\\"ted".'x y'.z = 3
text = """
model = 2
[x]
\\""" still text
"""
literal = \'\'\'
a = "
\'\'\'\'
list = [ # [ in a comment
  "]", # ] = 1
  { a = 1 },
  [1,
   2],
]
date = 1979-05-27T07:32:00Z
float = -1.5e+3
quotes = """""a"""""

  [ a . "b.c" ] # head
  k = { x = 1, y = [1, 2] }
d.e.f = 1

[[array]]
q = 1
[[array]]
q = 2
[last]
z=""
w=\'\'
"\\u00e9" = 1
end = 1'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("model", 2),
        (('quo"ted', "x y", "z"), 3),
        ("text", 4),
        ("literal", 9),
        ("list", 12),
        ("date", 18),
        ("float", 19),
        ("quotes", 20),
        (("a", "b.c"), 22),
        (("a", "b.c", "k"), 23),
        (("a", "b.c", "k", "x"), 23),
        (("a", "b.c", "d", "e", "f"), 24),
        (("a", "b.c", "d"), 24),
        (("a",), 22),
        ("array", 26),
        (("array", "q"), 27),
        (("last", "z"), 31),
        (("last", "w"), 32),
        (("last", "é"), 33),
        (("last", "end"), 34),
        (("last", "missing"), 30),
        ("missing", None),
        (("x",), None),
        (("list", "a"), 12),
    ],
)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_of_a_tricky_file(path, line, ends):
    text = TRICKY.replace("\n", ends)
    tomllib.loads(text)
    assert line_of(text, (path,) if isinstance(path, str) else path) == line


def test_of_several_paths_the_first_that_there_is():
    assert line_of("a = 1\nb = 2", ("b",), ("a",)) == 2
    assert line_of("a = 1\nb = 2", ("c",), ("a",)) == 1
    assert line_of("[t]\na = 1", ("c",), ("t", "x")) == 1


VALUES = st.sampled_from(
    [
        "1", '"text"', "'it'", '""', "true", '"""\nq = 1\n[r]\n"""', "'''\n# [\n'''", "[\n  1, # ]\n  '['\n]",
        "{ i = 1 }",
        '"\\""', "'\\'", '"""a\\""" b"""', "1979-05-27 07:32:00",
    ]
)  # fmt: skip
KEYS = st.sampled_from(["a", "b-c", "1", '"d e"', "'f.g'", '"h\\"i"', "j.k", '"" . l', "'#'"])
LINES = st.lists(st.tuples(KEYS, VALUES, st.sampled_from(["", " # c = 2", "\n", "\n# [d]\n", "\n\t \n"])), max_size=8)


@given(LINES, LINES)
def test_a_file_cut_before_the_line_lacks_the_key_and_cut_behind_its_value_has_it(above, below):
    """The parser of Python's library is the judge."""
    pieces = [f"{key} = {value}{after}" for key, value, after in above]
    pieces += ["[table]", *(f"{key} = {value}{after}" for key, value, after in below)]
    text = "\n".join(pieces)
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError:  # a key twice
        return
    for path in leaves(parsed):
        line = line_of(text, path)
        assert line is not None
        before = "\n".join(text.split("\n")[: line - 1])
        assert path not in leaves(tomllib.loads(before))
        ends = (line, line + 1, line + 2, line + 4)  # values take four lines at most
        assert any(path in leaves(loaded("\n".join(text.split("\n")[:end]))) for end in ends)


def leaves(values, inline=("i",)):
    """The paths of all values; an inline table counts as one."""
    found = []
    for key, value in values.items():
        if isinstance(value, dict) and tuple(value) != inline:
            found += [(key, *path) for path in leaves(value)]
        else:
            found.append((key,))
    return found


def loaded(text):
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}
