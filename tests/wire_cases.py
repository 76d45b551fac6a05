"""What every reader must make of each wire fixture.

A fixture in `tests/wire/` is the raw body of a response with one oddity: `.sse` a stream, `.json` a
completion. Those in `tests/wire/responses/` are of `/v1/responses`. Readers (the clients and the
adapters) turn it into a `Seen`, or fail.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sunra_integrations import errors
from sunra_integrations.protocol.parameters import Api
from sunra_integrations.protocol.reply import Reply

WIRE = Path(__file__).parent / "wire"


@dataclass(frozen=True)
class Seen:
    """The first choice and the usage, as a user of any reader sees them."""

    text: str = ""
    finish_reason: str | None = "stop"
    usage: tuple[int | None, int | None, int | None] | None = (3, 2, 5)
    reasoning: str = ""
    calls: tuple[tuple[str, str, dict[str, Any] | None], ...] = ()
    """Id, name and arguments of each tool call. Invalid arguments are None."""
    refusal: str = ""


@dataclass(frozen=True)
class Fails:
    """The error that a reader raises, with the text received so far."""

    error: type[errors.SunraError]
    partial: str | None = None
    says: str = ""


def seen(reply: Reply) -> Seen:
    """A Reply as `Seen`."""
    choice, usage = reply.choice, reply.usage
    return Seen(
        text=choice.text,
        finish_reason=choice.finish_reason,
        usage=usage and (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens),
        reasoning=choice.reasoning,
        calls=tuple((call.id, call.name, call.parsed()) for call in choice.tool_calls),
        refusal=choice.refusal,
    )


def called(
    *calls: tuple[str, str, dict[str, Any] | None], finish_reason: str = "tool_calls", **more: Any
) -> Seen:
    return Seen(calls=calls, finish_reason=finish_reason, **more)


HELLO = Seen("Hello")
ADD = ("c1", "add", {"a": 1})
SUB = ("c2", "sub", {"b": 2})
THOUGHT = Seen("Hello", reasoning="Let me think.")

STREAMS: dict[str, Seen | Fails] = {
    "plain": HELLO,
    # the event stream format
    "comments_between_events": HELLO,
    "carriage_return_line_ends": HELLO,
    "crlf_line_ends": HELLO,
    "mixed_line_ends": HELLO,
    "several_data_lines_in_one_event": HELLO,
    "byte_order_mark": HELLO,
    "event_and_id_fields": HELLO,
    "no_space_after_the_colon": HELLO,
    "no_done_at_the_end": HELLO,
    "no_blank_line_at_the_end": HELLO,
    "more_after_done": HELLO,
    "line_separators_inside_json": Seen("a\u2028b\u2029c\u0085d\x0b"),
    "characters_of_many_bytes": Seen("你好，🦊 ñ العالم"),
    # JSON and lines as servers write them
    "surrogates_split": Seen("Hi 🦊!"),
    "surrogates_alone": Seen("a\ufffdb\ufffdcd\ufffd"),
    "surrogates_in_arguments": called(("c1", "add", {"a": "🦊"})),
    "done_with_spaces": HELLO,
    "tail_empty": HELLO,
    "tail_null": HELLO,
    "tail_in_words": HELLO,
    "tail_cut": HELLO,
    "tail_damaged": HELLO,
    # chunks
    "choices_empty_null_or_missing": HELLO,
    "delta_null_or_missing": HELLO,
    "content_null": HELLO,
    "content_as_parts": HELLO,
    "content_parts_with_an_image": Seen("See: done"),
    "unknown_keys_anywhere": HELLO,
    "two_choices_in_one_event": Seen("A"),
    "two_deltas_of_one_choice_in_one_event": HELLO,
    "a_call_in_two_deltas_of_one_event": called(ADD, text="Hello"),
    "choices_interleaved": Seen("a1a2"),
    "finish_reason_unknown": Seen("Hello", "eos_token"),
    "finish_reason_with_the_last_text": Seen("Hello", "length"),
    "refusal": Seen(refusal="I cannot."),
    "logprobs": HELLO,
    "annotations_and_images": Seen("See"),
    "content_as_one_part": HELLO,
    "content_in_odd_parts": HELLO,
    "choice_counted_from_one": HELLO,
    # usage
    "usage_cumulative_on_every_chunk": HELLO,
    "usage_beside_the_last_choice": HELLO,
    "usage_before_the_end": HELLO,
    "usage_as_floats_and_nulls": HELLO,
    "usage_inside_a_choice": HELLO,
    # tool calls
    "call_by_index": called(ADD),
    "parallel_calls_by_index": called(ADD, SUB),
    "calls_without_index": called(ADD, SUB),
    "calls_without_index_or_id": called(
        ("call_gen-1_0_0", "add", {"a": 1}), ("call_gen-1_0_1", "sub", {"b": 2})
    ),
    "two_ids_under_one_index": called(ADD, SUB),
    "two_whole_calls_in_one_event": called(ADD, SUB),
    "id_and_name_repeated": called(ADD),
    "new_id_in_every_delta": called(ADD),
    "name_split": called(("c1", "add_up", {})),
    "ids_missing": called(("call_gen-1_0_0", "add", {"a": 1}), ("call_gen-1_0_1", "sub", {"b": 2})),
    "arguments_empty_or_missing": called(
        ("c1", "one", {}),
        ("c2", "two", {}),
        ("c3", "three", {}),
        ("c4", "four", {}),
        ("c5", "five", {}),
    ),
    "arguments_as_an_object": called(ADD),
    "arguments_cut_by_length": called(("c1", "add", None), finish_reason="length"),
    "type_missing": called(("c1", "add", {})),
    "text_and_call_in_one_chunk": called(ADD, text="Adding."),
    "unknown_fields_of_a_call": called(ADD),
    "arguments_with_control_characters": called(("c1", "add", {"a": "line one\nline\ttwo"})),
    "call_without_a_name": called(("c1", "", None)),
    # reasoning
    "reasoning": THOUGHT,
    "reasoning_content": THOUGHT,
    "reasoning_details": THOUGHT,
    "reasoning_in_two_spellings": THOUGHT,
    "reasoning_beside_a_call": called(ADD, reasoning="Let me think."),
    # answers that are not whole
    "ended_without_finish_reason": Fails(errors.StreamInterrupted, "Hello", "finish_reason"),
    "done_without_finish_reason": Fails(errors.StreamInterrupted, "Hello", "finish_reason"),
    "one_choice_of_two_unfinished": Fails(errors.StreamInterrupted, "A", "choice 1"),
    "event_not_json": Fails(errors.StreamInterrupted, "Hello", "not valid JSON"),
    "event_not_an_object": Fails(errors.StreamInterrupted, "Hello", "not a JSON object"),
    "event_cut_in_the_middle": Fails(errors.StreamInterrupted, "Hello", "not valid JSON"),
    "line_damaged": Fails(errors.StreamInterrupted, "Do ", "a line is damaged"),
    "line_damaged_at_the_start": Fails(errors.StreamInterrupted, None, "a line is damaged"),
    "line_with_leading_space": Fails(errors.StreamInterrupted, "Do ", "a line is damaged"),
    "line_with_a_capital": Fails(errors.StreamInterrupted, "Do ", "a line is damaged"),
    "line_joined_to_comment": Fails(errors.StreamInterrupted, "Do ", "a line is damaged"),
    "nested_too_deeply": Fails(errors.StreamInterrupted, "Hello", "nested more than"),
    # no answer at all
    "only_done": Fails(errors.UnreadableResponse, says="without sending a choice"),
    "empty_body": Fails(errors.UnreadableResponse, says="without sending a choice"),
    "usage_and_no_choice": Fails(errors.UnreadableResponse, says="without sending a choice"),
    "only_comments": Fails(errors.UnreadableResponse, says="without sending a choice"),
    "completion_instead_of_stream": Fails(
        errors.UnreadableResponse, "Hello", "a completion instead of a stream"
    ),
    "html_page_instead_of_stream": Fails(errors.UnreadableResponse, says="502 Bad Gateway"),
    # errors on the way
    "error_alone": Fails(errors.ServerFailed, "Hel", "The provider went away"),
    "error_beside_a_choice": Fails(errors.ServerFailed, "Hello", "The provider went away"),
    "error_inside_a_choice": Fails(errors.RateLimited, "Hello", "Slow down"),
    "error_as_text": Fails(errors.ServerFailed, "Hello", "The provider went away"),
    "error_event": Fails(errors.RateLimited, "Hello", "Slow down"),
    "error_event_as_text": Fails(errors.ServerFailed, "Hello", "upstream reset"),
    "error_field": Fails(errors.ServerFailed, "Hello", "failed to decode"),
    "error_first": Fails(errors.ModelNotFound, says="No such model"),
    "error_of_context_overflow": Fails(errors.ContextOverflow, says="8192"),
    "error_instead_of_stream": Fails(errors.PermissionDenied, says="Not yours"),
}

COMPLETIONS: dict[str, Seen | Fails] = {
    "plain": HELLO,
    "nulls_everywhere": Seen("Hello", None, None),
    "unknown_keys_anywhere": HELLO,
    "content_as_parts": HELLO,
    "reasoning": THOUGHT,
    "refusal": Seen(refusal="I cannot."),
    "two_choices": Seen("A", "length"),
    "usage_with_details_and_cost": HELLO,
    "calls_without_ids_or_index": called(
        ("call_gen-1_0_0", "add", {"a": 1}), ("call_gen-1_0_1", "add", {"a": 2})
    ),
    "calls_all_at_index_zero": called(ADD, SUB),
    "arguments_with_control_characters": called(("c1", "add", {"a": "line one\nline\ttwo"})),
    "arguments_nested_too_deeply": called(("c1", "add", None)),
    "arguments_as_an_empty_list": called(("c1", "add", {})),
    "call_without_a_name": called(("c1", "", None)),
    "surrogates": Seen("a\ufffdb 🦊"),
    "content_as_one_part": HELLO,
    "content_in_odd_parts": HELLO,
    "choice_counted_from_one": HELLO,
    "byte_order_mark": HELLO,
    "nested_too_deeply": Fails(errors.UnreadableResponse, says="nested more than"),
    "error_with_status_200": Fails(errors.ServerFailed, says="The provider went away"),
    "error_as_text": Fails(errors.ServerFailed, says="The provider went away"),
    "error_in_a_choice": Fails(errors.RateLimited, "Hel", "Slow down"),
    "status_failure": Fails(errors.ServerFailed, says="The provider went away"),
    "object_error": Fails(errors.ContextOverflow, says="8192"),
    "detail_only": Fails(errors.ServerFailed, says="No such deployment"),
    "choices_empty": Fails(errors.UnreadableResponse, says="without choices"),
    "choices_null": Fails(errors.UnreadableResponse, says="without choices"),
    "choices_missing": Fails(errors.UnreadableResponse, says="without choices"),
    "not_an_object": Fails(errors.UnreadableResponse, says="JSON list"),
    "cut_short": Fails(errors.UnreadableResponse, says="invalid JSON"),
    "page": Fails(errors.UnreadableResponse, says="invalid JSON"),
    "stream_instead_of_completion": Fails(
        errors.UnreadableResponse, says="stream instead of a completion"
    ),
    "empty": Fails(errors.UnreadableResponse, says="invalid JSON"),
}


CALLED = called(ADD, text="Hello")
THREE = called(ADD, SUB, text="Hello")
LIMITED = errors.RateLimited
DAMAGED = errors.StreamInterrupted

RESPONSE_STREAMS: dict[str, Seen | Fails] = {
    "plain": HELLO,
    # the event stream format
    "carriage_return_line_ends": HELLO,
    "comments_between_events": HELLO,
    "crlf_line_ends": HELLO,
    "done_marker_at_the_end": HELLO,
    "event_names_missing": HELLO,
    "no_blank_line_at_the_end": HELLO,
    "response_without_its_event": HELLO,
    "surrogates_alone": Seen("a\ufffdb"),
    "surrogates_split": Seen("Hi 🦊!"),
    "type_missing": HELLO,
    # events that are missing, and others
    "created_missing": HELLO,
    "deltas_missing": CALLED,
    "done_events_missing": CALLED,
    "item_done_without_content": HELLO,
    "items_not_announced": CALLED,
    "items_only_at_the_end": CALLED,
    "only_the_text_done": HELLO,
    "output_empty_at_the_end": HELLO,
    "output_missing_at_the_end": Seen("Hello", usage=None),
    "some_deltas_missing": HELLO,
    "text_done_missing": HELLO,
    "unknown_events": HELLO,
    "usage_missing": Seen("Hello", usage=None),
    "whole_response_as_the_only_event": HELLO,
    # the item that an event is about
    "ids_differ_in_every_event": called(ADD, text="Hello", reasoning="Let me think."),
    "ids_empty_and_items_null": HELLO,
    "ids_repeated": called(ADD, SUB),
    "nulls_everywhere": HELLO,
    "output_index_always_zero": THREE,
    "output_index_and_ids_missing": THREE,
    "output_index_from_one": THREE,
    "output_index_missing": THREE,
    # the order of events
    "completed_first": HELLO,
    "delta_after_its_item": HELLO,
    "delta_before_its_item": HELLO,
    "items_done_out_of_order": CALLED,
    "items_interleaved": called(ADD, SUB),
    # the whole and its parts
    "arguments_as_an_object": called(ADD),
    "arguments_delta_lost": Fails(DAMAGED, "", "is missing"),
    "arguments_written_anew": called(ADD),
    "delta_lost": Fails(DAMAGED, "Helo", "is missing"),
    "text_trimmed_at_the_end": Seen("\n\nHello\n"),
    # content
    "built_in_call_between_texts": HELLO,
    "call_ids_missing": called(
        ("call_req-1_0", "add", {"a": 1}), ("call_req-1_1", "sub", {"b": 2})
    ),
    "parallel_calls": called(ADD, SUB),
    "reasoning_summary": THOUGHT,
    "reasoning_summary_and_text": Seen("Hello", reasoning="Sum.\n\nLet me think."),
    "reasoning_text": THOUGHT,
    "refusal": Seen(refusal="I cannot."),
    # ends
    "arguments_cut_by_length": called(("c1", "add", None), finish_reason="length"),
    "completed_in_progress": HELLO,
    "completed_without_a_response": Seen("Hello", usage=None),
    "damaged_after_the_end": HELLO,
    "error_after_the_end": HELLO,
    "incomplete_without_a_response": Seen("Hello", "incomplete", None),
    "incomplete_without_details": Seen("Hello", "incomplete"),
    # answers that are not whole
    "cancelled": Fails(DAMAGED, "Hel", "no response.completed event"),
    "completed_but_cancelled": Fails(errors.UnreadableResponse, "Hel", "'cancelled'"),
    "done_marker_without_the_end": Fails(DAMAGED, "Hello", "no response.completed event"),
    "ended_after_the_text": Fails(DAMAGED, "Hello", "no response.completed event"),
    "ended_early": Fails(DAMAGED, "Hel", "no response.completed event"),
    "event_cut_in_the_middle": Fails(DAMAGED, "Hel", "not valid JSON"),
    "event_not_an_object": Fails(DAMAGED, "Hel", "not a JSON object"),
    "event_not_json": Fails(DAMAGED, "Hel", "not valid JSON"),
    "line_damaged": Fails(DAMAGED, "Hel", "a line is damaged"),
    "only_created": Fails(DAMAGED, "", "no response.completed event"),
    # no answer at all
    "chat_completion_chunks": Fails(errors.UnreadableResponse, says="without sending a choice"),
    "empty_body": Fails(errors.UnreadableResponse, says="without sending a choice"),
    "html_page_instead_of_stream": Fails(errors.UnreadableResponse, says="502 Bad Gateway"),
    "only_comments": Fails(errors.UnreadableResponse, says="without sending a choice"),
    "only_done": Fails(errors.UnreadableResponse, says="without sending a choice"),
    "response_instead_of_stream": Fails(
        errors.UnreadableResponse, "Hello", "a completion instead of a stream"
    ),
    # errors on the way
    "error_event": Fails(LIMITED, "Hel", "Slow down"),
    "error_event_as_text": Fails(errors.ServerFailed, "Hel", "upstream reset"),
    "error_event_by_name": Fails(LIMITED, "Hel", "Slow down"),
    "error_event_nested": Fails(LIMITED, "Hel", "Slow down"),
    "error_first": Fails(errors.ModelNotFound, says="No such model"),
    "error_instead_of_stream": Fails(errors.PermissionDenied, says="Not yours"),
    "error_without_a_type": Fails(errors.ServerFailed, "Hel", "The provider went away"),
    "failed": Fails(LIMITED, "Hel", "Slow down"),
    "failed_as_completed": Fails(errors.ServerFailed, "Hel", "The provider went away"),
    "failed_by_context_overflow": Fails(errors.ContextOverflow, "", "context window"),
    "failed_with_an_error_as_text": Fails(errors.ServerFailed, "Hel", "The provider went away"),
    "failed_with_the_error_beside_the_response": Fails(LIMITED, "Hel", "Slow down"),
    "failed_without_a_response": Fails(errors.ServerFailed, "Hel", "not give a reason"),
    "failed_without_an_error": Fails(errors.ServerFailed, "Hel", "not give a reason"),
}

RESPONSES: dict[str, Seen | Fails] = {
    "plain": HELLO,
    "arguments_as_an_object": called(ADD),
    "arguments_null": called(("c1", "add", {})),
    "arguments_with_control_characters": called(("c1", "add", {"a": "line one\nline\ttwo"})),
    "byte_order_mark": HELLO,
    "call_ids_missing": called(
        ("call_req-1_0", "add", {"a": 1}), ("call_req-1_1", "sub", {"b": 2})
    ),
    "call_without_a_name": called(("c1", "", None)),
    "content_filter": Seen("Hello", "content_filter"),
    "ids_repeated": called(ADD, SUB),
    "incomplete": Seen("Hello", "length"),
    "nulls_everywhere": Seen("Hello", usage=None),
    "parallel_calls": THREE,
    "reasoning": THOUGHT,
    "refusal": Seen(refusal="I cannot."),
    "two_messages": HELLO,
    "unknown_keys_anywhere": HELLO,
    "cancelled": Fails(errors.UnreadableResponse, says="'cancelled'"),
    "chat_completion": Fails(errors.UnreadableResponse, says="without output"),
    "cut_short": Fails(errors.UnreadableResponse, says="invalid JSON"),
    "detail_only": Fails(errors.ServerFailed, says="No such deployment"),
    "empty": Fails(errors.UnreadableResponse, says="invalid JSON"),
    "error_as_text": Fails(errors.ServerFailed, says="The provider went away"),
    "error_with_status_200": Fails(errors.ServerFailed, says="The provider went away"),
    "failed": Fails(LIMITED, says="Slow down"),
    "failed_with_output_null": Fails(errors.ServerFailed, says="not give a reason"),
    "failed_without_an_error": Fails(errors.ServerFailed, says="not give a reason"),
    "not_an_object": Fails(errors.UnreadableResponse, says="JSON list"),
    "output_missing": Fails(errors.UnreadableResponse, says="without output"),
    "output_null": Fails(errors.UnreadableResponse, says="without output"),
    "page": Fails(errors.UnreadableResponse, says="invalid JSON"),
    "queued": Fails(errors.UnreadableResponse, says="'queued'"),
    "stream_instead_of_response": Fails(
        errors.UnreadableResponse, says="stream instead of a completion"
    ),
}


_FOLDER = "responses/"
BOTH_STREAMS = {**STREAMS, **{_FOLDER + name: case for name, case in RESPONSE_STREAMS.items()}}
BOTH_COMPLETIONS = {**COMPLETIONS, **{_FOLDER + name: case for name, case in RESPONSES.items()}}
"""The fixtures of both APIs. Names of `/v1/responses` begin with its folder."""


def api_of(name: str) -> Api:
    """The API whose fixture this is."""
    return "responses" if name.startswith(_FOLDER) else "chat"


def stream_bytes(name: str) -> bytes:
    return (WIRE / f"{name}.sse").read_bytes()


def completion_bytes(name: str) -> bytes:
    return (WIRE / f"{name}.json").read_bytes()
