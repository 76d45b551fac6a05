"""The properties of `fuzz.targets`, for bytes that Hypothesis makes up of likely pieces."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz import targets
from sunra_integrations.errors import SunraError
from sunra_integrations.protocol.error_parsing import error_from_body, error_from_response, sanitize
from tests.examples import examples

EXAMPLES = settings(max_examples=examples(150))

NUMBERS = (
    st.integers()
    | st.floats()
    | st.integers(300, 4299).map(lambda digits: 10**digits)
    | st.sampled_from([10**18, -(10**18), 2**63, -0.0])
)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text(max_size=6)
WORDS = st.sampled_from(
    ["", "stop", "error", "text", "null", "false", "{}", '{"a":', "}", "call_1"]
)
VALUES = st.recursive(
    SCALARS | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "id", "a"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def objects(**fields):
    """Objects with any of these fields, each either as it should be or of any shape."""
    return st.fixed_dictionaries(
        {}, optional={name: made | VALUES for name, made in fields.items()}
    )


CALLS = st.lists(
    objects(index=NUMBERS, id=WORDS, type=WORDS, function=objects(name=WORDS, arguments=WORDS)),
    max_size=3,
)
PARTS = st.lists(objects(type=WORDS, text=WORDS), max_size=3)
MESSAGES = objects(
    role=WORDS,
    content=WORDS | PARTS,
    reasoning=WORDS,
    reasoning_details=st.lists(
        objects(type=WORDS, text=WORDS, id=WORDS, index=NUMBERS), max_size=3
    ),
    tool_calls=CALLS,
    refusal=WORDS,
    annotations=PARTS,
    x=VALUES,
)
CHOICES = st.lists(
    objects(
        index=st.sampled_from([0, 1, -1, 10**18]) | NUMBERS,
        delta=MESSAGES,
        message=MESSAGES,
        finish_reason=WORDS,
        logprobs=objects(content=PARTS, refusal=PARTS),
        error=VALUES,
    ),
    max_size=3,
)
ERRORS = WORDS | objects(
    message=st.text(), code=VALUES, type=WORDS, details=VALUES, retryable=st.booleans()
)
ANSWERS = objects(
    id=WORDS,
    model=WORDS,
    created=NUMBERS,
    choices=CHOICES,
    usage=objects(prompt_tokens=NUMBERS, completion_tokens=NUMBERS, cost=NUMBERS),
)
FAILED = objects(error=ERRORS, detail=VALUES, message=WORDS, request_id=st.text(), status=WORDS)
LINE_ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])
LINES = st.sampled_from(
    [
        b"",
        b": ping",
        b"event: error",
        b"data",
        b"data: [DONE]",
        b"data: {}",
        b"\xef\xbb\xbf",
        b"<p>",
    ]
)
SEEDS = st.integers(0, 255).map(lambda seed: bytes([seed]))


def written(value):
    """JSON as a careless server writes it: NaN, Infinity and characters as they are."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


@st.composite
def streams(draw):
    """A stream of likely events, with lines of other kinds among them."""
    body = b""
    for _ in range(draw(st.integers(0, 5))):
        line = draw(
            (ANSWERS | FAILED).map(lambda event: b"data: " + written(event)) | LINES | st.binary()
        )
        end = draw(LINE_ENDS)
        body += line + end + draw(st.sampled_from([b"", end]))
    return draw(SEEDS) + body


@EXAMPLES
@given(streams() | st.binary())
def test_events_are_the_same_however_they_are_cut(data):
    targets.event_stream(data)


@EXAMPLES
@given(streams() | st.binary())
def test_a_streamed_answer_is_the_same_however_it_is_cut(data):
    targets.chunk_stream(data)


@EXAMPLES
@given((ANSWERS | FAILED).map(written) | st.binary())
def test_a_whole_answer_is_a_reply_or_a_sunra_error(data):
    targets.completion(data)


HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "retry-after-ms", "date", "x-request-id", "set-cookie"]),
    st.text()
    | NUMBERS.map(repr)
    | st.datetimes().map("{:%a, %d %b %Y %H:%M:%S GMT}".format)
    | st.sampled_from(["nan", "-inf", "Fri, 31 Dec 9999 23:59:59 -2359", "1e400", "1_0", ",", " "]),
)


@EXAMPLES
@given(st.integers(300, 599), HEADERS, (FAILED | VALUES).map(written) | st.binary())
def test_an_error_of_any_bytes_can_be_shown_and_ends(status, headers, body):
    error = error_from_response(status, headers, body, now=1_750_000_000.0)
    targets.check_message(error)
    targets.check_wait(error.retry_after)
    assert error.response.body == body
    assert error.response.text is not None


@EXAMPLES
@given(FAILED | ERRORS | VALUES, st.text() | st.none(), st.booleans())
def test_an_error_inside_an_answer_can_be_shown_and_ends(body, request_id, top_level):
    error = error_from_body(body, request_id=request_id, top_level=top_level)
    assert isinstance(error, SunraError)
    targets.check_message(error)


@given(st.text())
def test_clean_text_is_one_line_and_keeps_what_can_be_read(text):
    assert len(sanitize(text).splitlines()) <= 1
    readable = [character for character in text if character.isalnum()]
    assert [character for character in sanitize(text) if character.isalnum()] == readable


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("a\r\n2026-01-01 INFO all is well", "a 2026-01-01 INFO all is well"),
        ("a\tb\u2028c\x85d", "a b c d"),
        ("\ud800a\udfff", "a"),
        ("\x1b[31mred", "[31mred"),
    ],
)
def test_upstream_text_cannot_begin_a_line_of_a_log(message, shown):
    assert sanitize(message) == shown
