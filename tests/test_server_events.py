"""Taking event streams apart, byte by byte."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codex_host._server_events import ServerEventParser
from codex_host.parts import ServerEvent


def parsed(*pieces: bytes) -> list[ServerEvent]:
    parser = ServerEventParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.end()


def data(*texts: str) -> list[ServerEvent]:
    return [ServerEvent("message", text) for text in texts]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", data("a")),
        (b"data:a\n\n", data("a")),
        (b"data:  a\n\n", data(" a")),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\n", data("a", "b", "c")),
        (b"data: a\ndata: b\n\n", data("a\nb")),
        (b"data\n\n", data("")),
        (b"data:\n\n", data("")),
        (b"event: x\ndata: a\n\ndata: b\n\n", [ServerEvent("x", "a"), *data("b")]),
        (b"event: x\n\ndata: b\n\n", data("b")),
        (b"event: x\nevent: y\ndata: a\n\n", [ServerEvent("y", "a")]),
        (b": a comment\n\ndata: a\n: another\n\n", data("a")),
        (b"id: 1\nretry: 10\nstrange: x\ndata: a\n\n", data("a")),
        (b"\xef\xbb\xbfdata: a\n\n", data("a")),
        (b"data: \xef\xbb\xbfa\n\n", data("\ufeffa")),
        ("data: é€😀\n\n".encode(), data("é€😀")),
        (b"data: \xff\n\n", data("\ufffd")),
        (b"data: a: b\n\n", data("a: b")),
        (b"\n\n\n", []),
        (b"", []),
        (b"data: a\n", data("a")),
        (b"data: a\r", data("a")),
        (b"data: a\n\ndata: cut o", data("a")),
        (b"data: a\n\ndata: b\ndata: cut o", data("a")),
        (b"DATA: a\n\n data: b\n\n", []),
    ],
)
def test_a_stream_in_one_piece_and_byte_by_byte(stream: bytes, events: list[ServerEvent]) -> None:
    assert parsed(stream) == events
    assert parsed(*(bytes([byte]) for byte in stream)) == events
    assert parsed(b"", stream, b"") == events


LINES = st.sampled_from(["data: a", "data:", "data", "data: é😀", "event: x", ": ping", "", "", "id: 3", "junk"])
STREAMS = st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r\n", "\r"])), max_size=12)


@settings(max_examples=200, deadline=None)
@given(STREAMS, st.lists(st.integers(0, 200), max_size=6))
def test_the_pieces_do_not_matter(lines: list[tuple[str, str]], places: list[int]) -> None:
    stream = "".join(line + end for line, end in lines).encode()
    cuts = sorted({0, len(stream), *(min(place, len(stream)) for place in places)})
    assert parsed(*(stream[start:end] for start, end in itertools.pairwise(cuts))) == parsed(stream)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_anything_can_be_read(stream: bytes) -> None:
    assert parsed(*(bytes([byte]) for byte in stream)) == parsed(stream)


def test_events_come_as_soon_as_they_are_whole() -> None:
    parser = ServerEventParser()
    assert parser.feed(b"data: a\n") == []
    assert parser.feed(b"\n") == data("a")
    assert parser.feed(b"data: b\n\ndata: c\n\nda") == data("b", "c")
    assert parser.feed(b"ta: d\n\n") == data("d")


def test_a_long_stream_takes_little_time() -> None:
    parser = ServerEventParser()
    piece = b'data: {"delta":"word "}\n\n' * 2000
    began = time.process_time()
    assert sum(len(parser.feed(piece)) for _ in range(50)) == 100_000
    assert time.process_time() - began < 3
