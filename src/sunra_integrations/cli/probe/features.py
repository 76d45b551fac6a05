"""The features that are probed: what is asked, and how the answer shows whether it was heeded."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple

from sunra_integrations.cli.probe.asking import Asker
from sunra_integrations.cli.probe.picture import picture_of
from sunra_integrations.protocol.content import data_url, image_part, text_part
from sunra_integrations.protocol.reply import Reply
from sunra_integrations.protocol.tools import function_tool, json_schema_format

Status = Literal["ok", "ignored", "refused", "unknown"]


class Verdict(NamedTuple):
    """What became of one feature.

    Args:
        status: `ok`; `ignored`: accepted, without effect; `refused`: the server said no;
            `unknown`: it could not be found out.
        words: What was seen, or the server's words.
    """

    status: Status
    words: str


class Feature(NamedTuple):
    """One feature.

    Args:
        name: What it is called in reports and for `--only`.
        calls: How many requests it takes.
        probe: Asks, and judges the answer.
    """

    name: str
    calls: int
    probe: Callable[[Asker], Awaitable[Verdict]]


_NUMBER = "7421"
_WEATHER = function_tool(
    "get_weather",
    description="Tell the weather in a city.",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string", "description": "The city's name"}},
        "required": ["city"],
    },
)
_PERSON = json_schema_format(
    "person",
    {
        "type": "object",
        "properties": {"full_name": {"type": "string"}, "years": {"type": "integer"}},
    },
    strict=True,
)


async def _answer(asker: Asker) -> Verdict:
    reply = await asker.create("Answer with the one word: hello")
    return _heeded(bool(reply.text.strip()), "a text", "the answer is empty")


async def _stream(asker: Asker) -> Verdict:
    _, pieces = await asker.stream("Count from 1 to 20, in digits.", stream_options={})
    return _heeded(pieces > 1, f"{pieces} pieces", "all came in one piece")


async def _usage_in_stream(asker: Asker) -> Verdict:
    reply, _ = await asker.stream("Answer with the one word: hello")
    counted = reply.usage is not None and reply.usage.completion_tokens is not None
    return _heeded(counted, "tokens are counted", "no tokens were counted")


async def _tools(asker: Asker) -> Verdict:
    reply = await asker.create("What is the weather in Oslo?", tools=[_WEATHER])
    return _called(reply, 1)


async def _forced_tool(asker: Asker) -> Verdict:
    forced = {"type": "function", "function": {"name": "get_weather"}}
    reply = await asker.create("Hello from Oslo.", tools=[_WEATHER], tool_choice=forced)
    return _called(reply, 1)


async def _parallel_tools(asker: Asker) -> Verdict:
    reply = await asker.create(
        "What is the weather in Oslo, and what is the weather in Paris?",
        tools=[_WEATHER],
        parallel_tool_calls=True,
    )
    return _called(reply, 2)


async def _json_schema(asker: Asker) -> Verdict:
    reply = await asker.create("Ada Lovelace is 36 years old.", response_format=_PERSON)
    try:
        value = json.loads(reply.text)
    except ValueError:
        return Verdict("ignored", "the answer is no JSON")
    match value:
        case {"full_name": str(), "years": int(), **rest} if not rest:
            return Verdict("ok", "keeps to the schema")
        case _:
            return Verdict("ignored", "JSON, but not of the schema")


async def _logprobs(asker: Asker) -> Verdict:
    reply = await asker.create("Answer with the one word: hello", logprobs=True, top_logprobs=2)
    tokens = (reply.choice.logprobs or {}).get("content")
    return _heeded(bool(tokens), "of every token", "the answer has none")


async def _several_choices(asker: Asker) -> Verdict:
    asked = 2
    reply = await asker.create("Answer with the one word: hello", n=asked)
    count = len(reply.choices)
    return _heeded(count == asked, "two choices", f"{count} in place of two")


async def _seed(asker: Asker) -> Verdict:
    question = "Invent a word of 12 random letters. Answer with it alone."
    first = await asker.create(question, seed=7)
    second = await asker.create(question, seed=7)
    same = bool(first.text) and first.text == second.text
    return _heeded(same, "two equal answers", "two different answers")


async def _image(asker: Asker) -> Verdict:
    image = image_part(data_url(picture_of(_NUMBER), "image/png"))
    question = text_part("Which number does the image show? Answer in digits alone.")
    reply = await asker.create([question, image])
    seen = _NUMBER in reply.text.replace(",", "").replace(" ", "")
    return _heeded(seen, "the number was read", "the number in it was not read")


async def _reasoning(asker: Asker) -> Verdict:
    reply = await asker.create("Is 391 a prime number?", reasoning_effort="low")
    details = reply.usage.completion_details if reply.usage is not None else {}
    tokens = details.get("reasoning_tokens")
    if reply.choice.reasoning or reply.choice.reasoning_details:
        return Verdict("ok", "reasoning is told")
    counted = isinstance(tokens, int) and tokens > 0
    return _heeded(counted, f"{tokens} tokens, not told", "no reasoning was told or counted")


FEATURES = (
    Feature("answer", 1, _answer),
    Feature("stream", 1, _stream),
    Feature("usage-in-stream", 1, _usage_in_stream),
    Feature("tools", 1, _tools),
    Feature("forced-tool", 1, _forced_tool),
    Feature("parallel-tools", 1, _parallel_tools),
    Feature("json-schema", 1, _json_schema),
    Feature("logprobs", 1, _logprobs),
    Feature("n", 1, _several_choices),
    Feature("seed", 2, _seed),
    Feature("image", 1, _image),
    Feature("reasoning", 1, _reasoning),
)
"""All features, the plain answer first: where a model gives none, nothing else is asked."""


def _heeded(heeded: bool, so: str, not_so: str) -> Verdict:
    return Verdict("ok", so) if heeded else Verdict("ignored", not_so)


def _called(reply: Reply, wanted: int) -> Verdict:
    """Whether the weather tool was called so often, each time with a city."""
    calls = reply.choice.tool_calls
    whole = [call for call in calls if call.name == "get_weather" and _city(call.parsed())]
    if len(whole) >= wanted:
        return Verdict("ok", "one call" if wanted == 1 else f"{len(whole)} calls at once")
    if len(calls) > len(whole):
        return Verdict("ignored", "a call without the arguments it needs")
    return Verdict("ignored", f"{len(whole)} of {wanted} calls" if whole else "no call")


def _city(arguments: dict[str, Any] | None) -> bool:
    return isinstance((arguments or {}).get("city"), str)
