import io

from codex_frontend_exec._live import Pieces
from codex_frontend_exec._progress import Progress
from hypothesis import example, given
from hypothesis import strategies as st

from codex_host.events import (
    Ending,
    EndingKind,
    MessageDelta,
    MessageDone,
    Notice,
    ReasoningSummaryDelta,
    ReasoningSummaryDone,
    ReplyDiscarded,
    TaskEnded,
)
from codex_host.items import Usage
from codex_host.text import neutralise


def shown(*events):
    """What these events print."""
    stream = io.StringIO()
    progress = Progress(stream, colour=False)
    for event in events:
        progress.show(event)
    return stream.getvalue()


DANGEROUS = st.text("ab\n\r\t\x1b[]0;m\x07\\\x9b\u202e ?P")


@given(DANGEROUS, st.data())
@example("\x1b]0;title\x07\x1b[2Jred", None)
@example("a\r\x1b[0m\nb", None)
def test_pieces_are_neutralised_as_the_whole(text, data):
    cuts = range(len(text)) if data is None else sorted(data.draw(st.sets(st.integers(0, len(text)))))
    pieces = Pieces()
    out = [pieces.feed(text[start:end]) for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert "".join([*out, pieces.end()]) == neutralise(text)


def test_plain_text_is_not_held_back():
    pieces = Pieces()
    assert [pieces.feed(piece) for piece in ("a", "b\n", "c")] == ["a", "b\n", "c"]


def test_a_message_is_shown_as_it_comes_and_once():
    said = [MessageDelta("Hel"), MessageDelta("lo."), MessageDone("Hello.")]
    assert shown(*said[:1]) == "codex: Hel"
    assert shown(*said) == "codex: Hello.\n"
    assert shown(MessageDone("Hello.")) == "codex: Hello.\n"


def test_two_messages():
    said = [MessageDelta("One."), MessageDone("One."), MessageDelta("Two.\n"), MessageDone("Two.\n")]
    assert shown(*said) == "codex: One.\ncodex: Two.\n"


def test_reasoning_and_message_that_are_complete_only_at_the_end():
    pieces = [ReasoningSummaryDelta("Hm."), MessageDelta("\n\nYes."), MessageDelta("\n")]
    assert shown(*pieces, ReasoningSummaryDone("Hm."), MessageDone("Yes.")) == "thinking: Hm.\ncodex: Yes.\n"


def test_what_comes_between_begins_a_line():
    assert shown(MessageDelta("One"), Notice("wait"), MessageDelta(" two.")) == "codex: One\nnote: wait\ncodex:  two."


def test_void_text_is_marked_and_told_again():
    said = shown(MessageDelta("Hel"), ReplyDiscarded("cut"), MessageDelta("Hello."), MessageDone("Hello."))
    assert said == "codex: Hel\nnote: what was said last is void, the model is asked again\ncodex: Hello.\n"
    assert shown(ReplyDiscarded("cut")) == ""
    assert shown(MessageDelta("a"), MessageDone("a"), ReplyDiscarded("cut")).count("void") == 0


def test_tokens_are_counted():
    ending = TaskEnded("t", ("go",), Ending(EndingKind.ANSWERED, "Yes.", 0), Usage(900, 800, 70, 60))
    assert shown(ending) == "tokens: 900 in (800 cached), 70 out (60 reasoning)\n"
    assert shown(MessageDelta("Yes"), ending).startswith("codex: Yes\ntokens: ")
