"""The claims about LlamaIndex LLMs."""

from __future__ import annotations

import pickle
from functools import partial

from llama_index.core.base.llms.types import ChatMessage, ImageBlock, MessageRole, TextBlock
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool

from scripts.comparison.claims import (
    Claim,
    Contestant,
    Make,
    Person,
    Seen,
    in_loops,
    maker,
    raises,
    raises_when_cut_off,
    response_fixture,
    stream_fixture,
)
from sunra_integrations.budget import Budget
from sunra_integrations.sandbox import Http, Sandbox, sse

_SUITE = "src/sunra_integrations/conformance/llama_index"
_ASKED = [ChatMessage("Hi")]


_made = partial(maker, url_field="api_base")

OURS = Contestant("Sunra", "sunra-integrations", _made("sunra_integrations.llama_index", "Sunra"))
PEERS = (
    Contestant(
        "OpenAILike",
        "llama-index-llms-openai-like",
        _made(
            "llama_index.llms.openai_like",
            "OpenAILike",
            is_chat_model=True,
            is_function_calling_model=True,
        ),
    ),
    Contestant(
        "OpenRouter",
        "llama-index-llms-openrouter",
        _made("llama_index.llms.openrouter", "OpenRouter"),
    ),
)


def _tools() -> list[FunctionTool]:
    def add(a: int) -> int:
        """Adds."""
        return a

    def sub(b: int) -> int:
        """Subtracts."""
        return b

    return [FunctionTool.from_defaults(add), FunctionTool.from_defaults(sub)]


def _cut_off(make: Make, sandbox: Sandbox) -> Seen:
    sandbox.next(stream_fixture("ended_without_finish_reason"))
    return raises(lambda: list(make().stream_chat(_ASKED))[-1].message.content)


def _structured_cut_off(make: Make, sandbox: Sandbox) -> Seen:
    return raises_when_cut_off(
        lambda: make().structured_predict(Person, PromptTemplate("Ada")), sandbox
    )


def _error_in_200(make: Make, sandbox: Sandbox) -> Seen:
    sandbox.next(response_fixture("error_with_status_200"))
    return raises(lambda: make().chat(_ASKED).message.content, saying="The provider went away")


def _retries(make: Make, sandbox: Sandbox) -> Seen:
    sandbox.answer_with(lambda _: Http(503, {"error": {"message": "Later."}}, {"retry-after": "0"}))
    seen = raises(lambda: make(max_retries=2).chat(_ASKED))
    sent = len(sandbox.requests)
    return Seen(sent == 1 + 2, f"{sent} sent; {seen.what}")


def _two_in_one_event(make: Make, sandbox: Sandbox) -> Seen:
    both = stream_fixture("two_whole_calls_in_one_event").body_chunks()[0]
    sandbox.next(sse(both.replace(b'"index": 0, "id": "c2"', b'"index": 1, "id": "c2"')))
    llm = make()
    stream = llm.stream_chat_with_tools(_tools(), "Hi", allow_parallel_tool_calls=True)
    last = list(stream)[-1]
    calls = llm.get_tool_calls_from_response(last, error_on_no_tool_call=False)
    seen = [(call.tool_name, call.tool_kwargs) for call in calls]
    return Seen(seen == [("add", {"a": 1}), ("sub", {"b": 2})], f"calls {seen}")


def _unset(make: Make, sandbox: Sandbox) -> Seen:
    make().chat(_ASKED)
    sent = sandbox.requests[-1].json
    more = {name: value for name, value in sent.items() if name not in {"model", "messages"}}
    more.pop("stream", None)  # `stream: false` changes nothing
    return Seen(not more, f"sent besides model and messages: {more}")


def _responses_change(make: Make, sandbox: Sandbox) -> Seen:
    sandbox.next(stream_fixture("call_by_index"))
    responses, before = [], []
    for response in make().stream_chat(_ASKED):
        responses.append(response)
        before.append(response.model_dump_json(exclude={"raw"}))
    after = [response.model_dump_json(exclude={"raw"}) for response in responses]
    changed = sum(one != two for one, two in zip(before, after, strict=True))
    return Seen(
        not changed, f"{changed} of {len(responses)} responses changed after they were given"
    )


def _thinking(make: Make, sandbox: Sandbox) -> Seen:
    sandbox.next(stream_fixture("reasoning"))
    responses = list(make().stream_chat(_ASKED))
    thought = "".join(r.additional_kwargs.get("thinking_delta") or "" for r in responses)
    return Seen(thought == "Let me think.", f"thinking {thought!r}")


def _image_in_tool_result(make: Make, sandbox: Sandbox) -> Seen:
    url = "data:image/png;base64,aGVsbG8="
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    asked = [
        ChatMessage("Look."),
        ChatMessage(
            role=MessageRole.ASSISTANT, content=None, additional_kwargs={"tool_calls": [call]}
        ),
        ChatMessage(
            role=MessageRole.TOOL,
            blocks=[TextBlock(text="Seen:"), ImageBlock(url=url)],
            additional_kwargs={"tool_call_id": "c1"},
        ),
    ]
    try:
        make().chat(asked)
    finally:
        sent = bool(sandbox.requests) and "aGVsbG8=" in str(sandbox.requests[-1].json)
    return Seen(sent, "the image was sent" if sent else "the image was not sent")


def _usage_unasked(make: Make, _: Sandbox) -> Seen:
    last = list(make().stream_chat(_ASKED))[-1]
    raw = last.raw if isinstance(last.raw, dict) else last.raw.model_dump()
    return Seen(bool(raw.get("usage")), f"usage {raw.get('usage')}")


def _cost(make: Make, _: Sandbox) -> Seen:
    known = make().chat(_ASKED).additional_kwargs
    return Seen("cost" in known, f"additional_kwargs {sorted(known)}")


def _budget(make: Make, sandbox: Sandbox) -> Seen:
    llm = make(budget=Budget(calls=1))
    llm.chat(_ASKED)
    seen = raises(lambda: llm.chat(_ASKED).message.content)
    sent = len(sandbox.requests)
    return Seen(seen.held and sent == 1, f"{sent} sent; {seen.what}")


def _misspelt(make: Make, sandbox: Sandbox) -> Seen:
    seen = raises(lambda: make(temprature=0).chat(_ASKED).message.content)
    return Seen(seen.held, f"{len(sandbox.requests)} sent; {seen.what}")


def _range(make: Make, sandbox: Sandbox) -> Seen:
    seen = raises(lambda: make(temperature=3).chat(_ASKED).message.content)
    return Seen(seen.held and not sandbox.requests, f"{len(sandbox.requests)} sent; {seen.what}")


def _pickles(make: Make, _: Sandbox) -> Seen:
    llm = make()
    llm.chat(_ASKED)
    kept = pickle.loads(pickle.dumps(llm))  # noqa: S301 - its own
    return Seen(type(kept) is type(llm), "pickled")


def _to_dict_holds_no_key(make: Make, sandbox: Sandbox) -> Seen:
    held = sandbox.api_key in str(make().to_dict())
    return Seen(not held, "the key is in to_dict()" if held else "no key in to_dict()")


def _loops(make: Make, sandbox: Sandbox) -> Seen:
    llm = make()
    return in_loops(lambda: llm.achat(_ASKED), sandbox)


CLAIMS = (
    Claim(
        "A truncated stream raises an error",
        _cut_off,
        f"{_SUITE}/calls.py::test_an_interrupted_stream_raises",
    ),
    Claim(
        "Structured output truncated by `max_tokens` raises an error",
        _structured_cut_off,
        "tests/llama_index/test_structured.py::test_an_answer_that_was_cut_off_is_an_error",
    ),
    Claim(
        "An error with status 200 is raised with its message",
        _error_in_200,
        f"{_SUITE}/calls.py::test_an_error_body_with_status_200_raises",
    ),
    Claim(
        "`max_retries=2` sends three requests",
        _retries,
        f"{_SUITE}/calls.py::test_max_retries_is_the_number_of_retries",
    ),
    Claim(
        "Two tool calls in one stream event stay separate",
        _two_in_one_event,
        f"{_SUITE}/tools.py::test_all_streamed_tool_calls_are_read",
    ),
    Claim(
        "Unset parameters are not sent",
        _unset,
        f"{_SUITE}/calls.py::test_unset_parameters_are_not_sent",
    ),
    Claim(
        "Streamed responses do not change afterwards",
        _responses_change,
        f"{_SUITE}/calls.py::test_yielded_responses_never_change",
    ),
    Claim(
        "Streamed reasoning is in `thinking_delta`",
        _thinking,
        f"{_SUITE}/calls.py::test_every_thinking_delta_is_yielded",
    ),
    Claim(
        "Token usage is reported when streaming, by default",
        _usage_unasked,
        f"{_SUITE}/calls.py::test_usage_on_an_earlier_chunk_is_on_the_last_response",
    ),
    Claim(
        "The cost of a call is in `additional_kwargs`",
        _cost,
        "tests/llama_index/test_response.py::test_the_cost_and_unknown_fields_are_kept_beside_the_counts",
    ),
    Claim(
        "A budget stops calls before they are sent",
        _budget,
        "tests/test_budget.py::test_a_spent_budget_refuses_the_next_call_before_it_is_sent",
    ),
    Claim(
        "Images in tool results are sent",
        _image_in_tool_result,
        f"{_SUITE}/content.py::test_an_image_in_a_tool_result_is_sent",
    ),
    Claim(
        "A misspelled parameter raises an error",
        _misspelt,
        f"{_SUITE}/calls.py::test_a_misspelled_field_raises_an_error_that_names_the_right_one",
    ),
    Claim(
        "`temperature=3` is rejected before the request is sent",
        _range,
        "tests/protocol/test_request.py::test_a_value_against_its_rule_names_parameter_value_and_rule",
    ),
    Claim(
        "Can be pickled after a call",
        _pickles,
        f"{_SUITE}/lifecycle.py::test_a_copy_made_after_calls_works",
    ),
    Claim(
        "`to_dict()` does not contain the API key",
        _to_dict_holds_no_key,
        f"{_SUITE}/lifecycle.py::test_no_secret_is_printed_or_stored",
    ),
    Claim(
        "One LLM works in several event loops",
        _loops,
        f"{_SUITE}/lifecycle.py::test_one_llm_serves_several_event_loops",
    ),
)
