"""Reading a script for a shell: which commands it runs, word for word, if it is plain enough to tell.

Plain are commands joined by `&&`, `||`, `;` and `|` whose words are letters, digits and harmless punctuation, quoted
texts, and wildcards. The grammar says what else a script has. It is not trusted with more, since it forgives what
a shell does not (a carriage return is a blank to it, a backslash stays in the word): each piece that it finds must have
a shape that shells read in one way only, and nothing but blanks may stand between the pieces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

__all__ = ["Command", "ScriptError", "read"]

LONGEST = 8_000
"""Characters of the longest script that is read: a review must not keep the event loop waiting."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a script; `patterns` are those of its words that stand for the names of files."""

    argv: tuple[str, ...]
    patterns: tuple[str, ...] = ()


class ScriptError(Exception):
    """The script is not plain; the text says why, for a person."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """An operator, a word, or a part of one: then it is `joined` to the piece before."""

    text: str
    operator: bool = False
    pattern: bool = False
    joined: bool = False


def read(script: str) -> tuple[Command, ...]:
    """The commands of a script, in their order; a shell runs these or some of them. Raises ScriptError."""
    text = script.strip(" \t\n")
    if len(text) > LONGEST:
        raise ScriptError("the script is too long to be looked through")
    if _CONTROL.search(text):
        raise ScriptError("the script has control characters or is no valid text")
    commands: list[list[_Piece]] = [[]]
    for piece in _pieces(text.encode()):
        words = commands[-1]
        if piece.operator:
            commands.append([])
        elif piece.joined and words:
            words[-1] = _Piece(words[-1].text + piece.text, pattern=words[-1].pattern or piece.pattern)
        else:
            words.append(piece)
    if text.endswith(";"):
        commands.pop()
    if not commands or not all(commands):
        raise ScriptError("a command is missing in the script")
    return tuple(
        Command(tuple(word.text for word in words), tuple(word.text for word in words if word.pattern))
        for words in commands
    )


_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_OPERATORS = frozenset({"&&", "||", ";", "|"})
_GROUPS = frozenset({"program", "list", "pipeline", "command", "command_name", "concatenation"})


def _pieces(source: bytes) -> Iterator[_Piece]:
    """What the script consists of from its beginning to its end. Raises ScriptError if anything else is in it."""
    try:
        root = _parser().parse(source).root_node
    except ImportError as error:
        raise ScriptError(f"no script can be read here ({error})") from None
    end = 0
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.type in _GROUPS:
            waiting += reversed(node.children)
            continue
        _check_gap(source[end : node.start_byte])
        yield _piece(node, joined=node.start_byte == end)
        end = node.end_byte
    _check_gap(source[end:])
    if root.has_error:
        raise ScriptError("the script has a mistake in it")


@cache
def _parser() -> Parser:
    import tree_sitter_bash  # when a script is to be read, in many sessions never
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))


def _check_gap(gap: bytes) -> None:
    if gap.strip(b" \t"):
        raise ScriptError("the script has more than one line" if b"\n" in gap else "the script is not plain")


# A tilde that is not first and follows neither = nor : stays as it is, as in HEAD~1.
_PLAIN = re.compile(r"(?:[\w.,/:=@%^+*?-]|(?<=[^=:])~)+", re.ASCII)
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE = re.compile(r'"([^"$`\\!]*)"')
# With backslashes only in ASCII: in some encodings a backslash can be the second half of a letter.
_ESCAPED = re.compile(r'"((?:[^"$`\\!\x80-\U0010ffff]|\\[ "-~])*)"')
_ESCAPE = re.compile(r'\\(["$`\\])')


def _piece(node: Node, *, joined: bool) -> _Piece:
    text = (node.text or b"").decode(errors="replace")
    if node.type in _OPERATORS:
        return _Piece(text, operator=True)
    if node.type in {"word", "number"} and _PLAIN.fullmatch(text):
        return _Piece(text, pattern="*" in text or "?" in text, joined=joined)
    if node.type == "raw_string" and (found := _SINGLE.fullmatch(text)):
        return _Piece(found[1], joined=joined)
    if node.type == "string" and (found := _DOUBLE.fullmatch(text)):
        return _Piece(found[1], joined=joined)
    if node.type == "string" and (found := _ESCAPED.fullmatch(text)):
        return _Piece(_ESCAPE.sub(r"\1", found[1]), joined=joined)
    raise ScriptError(f"the script has {_NAMES.get(node.type, 'more than plain commands')}")


_NAMES = {
    "&": "a command in the background",
    "arithmetic_expansion": "a calculation",
    "brace_expression": "braces that are expanded",
    "command_substitution": "a command in the place of a word",
    "comment": "a comment",
    "expansion": "a variable",
    "herestring_redirect": "a redirection",
    "negated_command": "a negation",
    "process_substitution": "a command in the place of a file",
    "redirected_statement": "a redirection",
    "simple_expansion": "a variable",
    "string": "quotes with a variable, a command or an escape in them",
    "subshell": "a subshell",
    "variable_assignment": "a variable that is set",
    "word": "a word that the shell changes",
}
"""What a script has that is not plain, by the grammar's names; the rest is not told apart."""
