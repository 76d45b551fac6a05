"""`sunra probe`: tests which features a model supports through the gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import click
from rich.table import Table
from rich.text import Text

from sunra_integrations import errors
from sunra_integrations.cli import options
from sunra_integrations.cli.chat import format_cost
from sunra_integrations.cli.hints import message_with_hint
from sunra_integrations.cli.options import Session
from sunra_integrations.cli.terminal import Terminal
from sunra_integrations.data import model_facts
from sunra_integrations.protocol.accumulator import ReplyAccumulator
from sunra_integrations.protocol.content import image_part, text_part
from sunra_integrations.protocol.reply import Reply, Usage
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.protocol.tools import function_tool, json_schema_format
from sunra_integrations.transport import AsyncSunraClient, Settings

# ── sending requests ─────────────────────────────────────────────────────────


class Totals:
    """The number of requests, and the token usage and cost that the server reported."""

    def __init__(self) -> None:
        self.calls = 0
        self.prompt_tokens: int = 0
        self.completion_tokens: int = 0
        self.cost: float | None = None

    def add(self, usage: Usage | None) -> None:
        """Add the usage of one reply."""
        if usage is None:
            return
        self.prompt_tokens += usage.prompt_tokens or 0
        self.completion_tokens += usage.completion_tokens or 0
        if usage.cost is not None:
            self.cost = (self.cost or 0) + usage.cost


class Model:
    """A model to send requests to.

    Args:
        client: The client.
        name: The name of the model.
        limit: Limits the number of concurrent requests.
        totals: Every request is added to these.
    """

    def __init__(
        self, client: AsyncSunraClient, name: str, limit: asyncio.Semaphore, totals: Totals
    ) -> None:
        self.name = name
        self._client = client
        self._limit = limit
        self._totals = totals

    async def create(self, content: str | list[dict[str, Any]], **parameters: Any) -> Reply:
        """Return the reply to one user message."""
        async with self._limit:
            self._totals.calls += 1
            reply = await self._client.create(self._request(content, parameters))
        self._totals.add(reply.usage)
        return reply

    async def stream(self, content: str, **parameters: Any) -> tuple[Reply, int]:
        """Return the streamed reply to one user message, and its number of chunks with text."""
        so_far = ReplyAccumulator()
        count = 0
        async with self._limit:
            self._totals.calls += 1
            request = self._request(content, parameters)
            async with aclosing(self._client.stream(request, so_far=so_far)) as chunks:
                async for chunk in chunks:
                    count += any(delta.text or delta.reasoning for delta in chunk.choices)
        reply = so_far.reply()
        self._totals.add(reply.usage)
        return reply, count

    def _request(
        self, content: str | list[dict[str, Any]], parameters: dict[str, Any]
    ) -> ChatRequest:
        messages = [{"role": "user", "content": content}]
        return ChatRequest(model=self.name, messages=messages, **parameters)


# ── features ─────────────────────────────────────────────────────────────────


class Result(NamedTuple):
    """The result for one feature.

    Args:
        status: `ok`; `restricted`: works only if another parameter is changed; `ignored`: accepted,
            but without effect; `refused`: rejected by the server; `unknown`: not determined.
        words: The observation, or the server's message.
    """

    status: Literal["ok", "restricted", "ignored", "refused", "unknown"]
    words: str


class Feature(NamedTuple):
    """A feature.

    Args:
        name: The name in reports and for `--only`.
        calls: The maximum number of requests that it takes.
        probe: Sends the requests and judges the replies.
    """

    name: str
    calls: int
    probe: Callable[[Model], Awaitable[Result]]


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
_NUMBER = "7421"
PICTURE = (  # of the number, in black on white, 272 by 112 pixels
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAARAAAABwCAAAAADz4nAnAAAAxklEQVR42u3YMQrAMAwDQP//"
    "0+3cqRgF0yan1RjBjapLHikEQIAAAQIECBAgQIAAAQIEyHEg1czbf3rv9nf7gAABAgQIECBAgAABAgQIECBA0oL0vrof"
    "CBAgQIAAAQIECBAgQIAAAQJkGiQdmLYbiIAAAQIECBAgQIAAAQIECBAgnwdJB53pAQkIECBAgAABAgQIECBAgAABAuTv"
    "INMDExAgQIAAAQIECBAgQIAAAQIEyGkBAgQIECBAgAABAgQIECBAgGyfG3B0sN4DTIldAAAAAElFTkSuQmCC"
)


async def _answer(model: Model) -> Result:
    reply = await model.create("Answer with the one word: hello")
    return _result(bool(reply.text.strip()), "text received", "the reply is empty")


async def _stream(model: Model) -> Result:
    _, count = await model.stream("Count from 1 to 20, in digits.", stream_options={})
    return _result(count > 1, f"{count} chunks", "the reply came in one chunk")


async def _usage_in_stream(model: Model) -> Result:
    reply, _ = await model.stream("Answer with the one word: hello")
    counted = reply.usage is not None and reply.usage.completion_tokens is not None
    return _result(counted, "token usage reported", "no token usage reported")


async def _responses(model: Model) -> Result:
    reply = await model.create("Answer with the one word: hello", api="responses")
    return _result(bool(reply.text.strip()), "a reply of /v1/responses", "the reply is empty")


async def _temperature(model: Model) -> Result:
    reply = await model.create("Answer with the one word: hello", temperature=0)
    return _result(bool(reply.text.strip()), "a temperature of 0", "the reply is empty")


async def _tools(model: Model) -> Result:
    return await _call_tools(model, "What is the weather in Oslo?", 1)


async def _tools_with_reasoning(model: Model) -> Result:
    question = "What is the weather in Oslo?"
    return await _call_tools(model, question, 1, [_ON_RESPONSES], reasoning_effort="low")


async def _forced_tool(model: Model) -> Result:
    forced = {"type": "function", "function": {"name": "get_weather"}}
    return await _call_tools(model, "Hello from Oslo.", 1, tool_choice=forced)


async def _parallel_tools(model: Model) -> Result:
    question = "What is the weather in Oslo, and what is the weather in Paris?"
    return await _call_tools(model, question, 2, parallel_tool_calls=True)


async def _json_schema(model: Model) -> Result:
    reply = await model.create("Ada Lovelace is 36 years old.", response_format=_PERSON)
    try:
        value = json.loads(reply.text)
    except ValueError:
        return Result("ignored", "the reply is not valid JSON")
    match value:
        case {"full_name": str(), "years": int(), **rest} if not rest:
            return Result("ok", "the reply matches the schema")
        case _:
            return Result("ignored", "valid JSON that does not match the schema")


async def _logprobs(model: Model) -> Result:
    reply = await model.create("Answer with the one word: hello", logprobs=True, top_logprobs=2)
    tokens = (reply.choice.logprobs or {}).get("content")
    return _result(bool(tokens), "log probabilities received", "no log probabilities")


async def _several_choices(model: Model) -> Result:
    count = len((await model.create("Answer with the one word: hello", n=2)).choices)
    return _result(count == 2, "two choices", f"{count} instead of two")  # noqa: PLR2004


async def _seed(model: Model) -> Result:
    prompt = "Invent a word of 12 random letters. Answer with it alone."
    first = await model.create(prompt, seed=7)
    second = await model.create(prompt, seed=7)
    same = bool(first.text) and first.text == second.text
    return _result(same, "two equal replies", "two different replies")


async def _image(model: Model) -> Result:
    question = text_part("Which number does the image show? Answer in digits alone.")
    reply = await model.create([question, image_part(PICTURE)])
    seen = _NUMBER in reply.text.replace(",", "").replace(" ", "")
    return _result(seen, "the number in the image was read", "the number in the image was not read")


async def _reasoning(model: Model) -> Result:
    reply = await model.create("Is 391 a prime number?", reasoning_effort="low")
    details = reply.usage.completion_details if reply.usage is not None else {}
    tokens = details.get("reasoning_tokens")
    if reply.choice.reasoning or reply.choice.reasoning_details:
        return Result("ok", "the reply includes reasoning")
    counted = isinstance(tokens, int) and tokens > 0
    return _result(counted, f"{tokens} reasoning tokens, without text", "no reasoning")


FEATURES = (
    Feature("answer", 1, _answer),
    Feature("stream", 1, _stream),
    Feature("usage-in-stream", 1, _usage_in_stream),
    Feature("responses", 1, _responses),
    Feature("temperature", 1, _temperature),
    Feature("tools", 3, _tools),
    Feature("tools-with-reasoning", 2, _tools_with_reasoning),
    Feature("forced-tool", 3, _forced_tool),
    Feature("parallel-tools", 3, _parallel_tools),
    Feature("json-schema", 1, _json_schema),
    Feature("logprobs", 1, _logprobs),
    Feature("n", 1, _several_choices),
    Feature("seed", 2, _seed),
    Feature("image", 1, _image),
    Feature("reasoning", 1, _reasoning),
)
"""All features. If the call for `answer` fails, the model is not tested further."""


def _result(works: bool, if_so: str, if_not: str) -> Result:
    return Result("ok", if_so) if works else Result("ignored", if_not)


class _Remedy(NamedTuple):
    """A parameter with which a restricted model may have tools."""

    words: str
    parameters: dict[str, Any]


_WITHOUT_REASONING = _Remedy('reasoning_effort="none"', {"reasoning_effort": "none"})
_ON_RESPONSES = _Remedy('api="responses"', {"api": "responses"})


async def _call_tools(
    model: Model,
    question: str,
    expected: int,
    remedies: Sequence[_Remedy] = (_WITHOUT_REASONING, _ON_RESPONSES),
    **parameters: Any,
) -> Result:
    """Whether the weather tool is called; if the model refuses it here, with a remedy."""
    try:
        reply = await model.create(question, tools=[_WEATHER], **parameters)
    except errors.UnsupportedParameter as error:
        if error.parameter not in {"reasoning_effort", ""}:  # "": the endpoint, among others
            raise
        restriction = error
    else:
        return _result_of_calls(reply, expected)
    found: list[tuple[_Remedy, Result]] = []
    for remedy in remedies:
        given = parameters | remedy.parameters
        try:
            result = _result_of_calls(
                await model.create(question, tools=[_WEATHER], **given), expected
            )
        except _REFUSALS as error:
            result = Result("refused", f"With {remedy.words}: {error.message}")
        found.append((remedy, result))
    working = [remedy.words for remedy, result in found if result.status == "ok"]
    if working:
        words = next(result.words for _, result in found if result.status == "ok")
        return Result("restricted", f"{words}, but only with {' or '.join(working)}")
    for remedy, result in found:
        if result.status == "ignored":
            return Result("ignored", f"{result.words}, with {remedy.words}")
    refusals = " ".join(result.words for _, result in found)
    return Result("refused", f"{_explain(model, restriction)} {refusals}")


def _result_of_calls(reply: Reply, expected: int) -> Result:
    """Whether the weather tool was called this many times, each time with a city."""
    calls = reply.choice.tool_calls
    valid = [call for call in calls if call.name == "get_weather" and _has_city(call.parsed())]
    if len(valid) >= expected:
        return Result("ok", "one call" if expected == 1 else f"{len(valid)} parallel calls")
    if len(calls) > len(valid):
        return Result("ignored", "a call without the required arguments")
    return Result("ignored", f"{len(valid)} of {expected} calls" if valid else "no call")


def _has_city(arguments: dict[str, Any] | None) -> bool:
    return isinstance((arguments or {}).get("city"), str)


# ── testing models ───────────────────────────────────────────────────────────

_REFUSALS = (errors.BadRequest, errors.NotFound, errors.PermissionDenied, errors.Refused)
_ABOUT_ONE_REQUEST = (errors.BadRequest, errors.UnreadableResponse)


@dataclass(frozen=True)
class Report:
    """The results for one model.

    Args:
        model: The name of the model.
        results: By feature.
        error: Why the model could not be tested at all.
    """

    model: str
    results: Mapping[str, Result]
    error: errors.SunraError | None = None


async def probe_models(
    settings: Settings,
    names: Sequence[str],
    features: Sequence[Feature],
    *,
    at_once: int,
    totals: Totals,
) -> list[Report]:
    """Test the models concurrently; the failure of one does not end the others.

    Args:
        settings: The connection settings.
        names: The names of the models.
        features: The features to test.
        at_once: The maximum number of concurrent requests.
        totals: Every request is added to these.
    """
    client = AsyncSunraClient(settings)
    limit = asyncio.Semaphore(at_once)
    models = [Model(client, name, limit, totals) for name in names]
    return list(await asyncio.gather(*(_probe_model(model, features) for model in models)))


async def _probe_model(model: Model, features: Sequence[Feature]) -> Report:
    results: dict[str, Result] = {}
    rest = list(features)
    if rest[0].name == "answer":
        try:
            results["answer"] = await rest.pop(0).probe(model)
        except _ABOUT_ONE_REQUEST as error:
            results["answer"] = _result_of_error(model, error)
        except errors.SunraError as error:
            return Report(model.name, {}, error)
    found = await asyncio.gather(*(_probe_feature(model, feature) for feature in rest))
    names = [feature.name for feature in rest]
    return Report(model.name, results | dict(zip(names, found, strict=True)))


async def _probe_feature(model: Model, feature: Feature) -> Result:
    try:
        return await feature.probe(model)
    except errors.SunraError as error:
        return _result_of_error(model, error)


def _result_of_error(model: Model, error: errors.SunraError) -> Result:
    """Only a refusal shows that a feature is missing, not a broken connection or a busy server."""
    words = _explain(model, error)
    return Result("refused" if isinstance(error, _REFUSALS) else "unknown", words)


_FACTS = {
    "temperature": "temperature",
    "tools": "tool_calling",
    "tool_choice": "tool_choice",
    "response_format": "structured_output",
}
"""The fact of the bundled model data for a request parameter."""


_TOOLS_WITH_EFFORT = {
    "effort_unset_or_none": 'tools only without `reasoning_effort` or with "none"',
    "effort_none": 'tools only with `reasoning_effort="none"`',
    "never": 'tools only with `api="responses"`',
}
"""The values of `chat_completions_tools` in the bundled model data."""


def _explain(model: Model, error: errors.SunraError) -> str:
    """The message of an error, with what the bundled model data says about the parameter."""
    parameter = error.parameter if isinstance(error, errors.UnsupportedParameter) else ""
    facts = model_facts(model.name) or {}
    known: list[str] = []
    if parameter == "reasoning_effort":
        known += filter(None, [_TOOLS_WITH_EFFORT.get(facts.get("chat_completions_tools", ""))])
        levels = ", ".join(facts.get("reasoning_effort_levels") or ())
        known += [f"levels {levels}"] if levels else []
    elif (supported := facts.get(_FACTS.get(parameter, ""))) is not None:
        known.append(f"`{parameter}` is {'' if supported else 'not '}supported")
    return f"{error.message} Model data: {'; '.join(known)}." if known else error.message


# ── the command ──────────────────────────────────────────────────────────────

_NAMES = [feature.name for feature in FEATURES]
_STYLES = {
    "ok": "green",
    "restricted": "yellow",
    "ignored": "yellow",
    "refused": "red",
    "unknown": "magenta",
}

_EXAMPLES = """
sunra probe openai/gpt-4o google/gemini-2.5-flash
sunra probe openai/gpt-4o --only tools --only seed
sunra probe openai/gpt-4o --json | jq '.models[0].features.tools.status'
"""

_NOTES = """
Each feature takes one small request (seed: two; tools: up to three if the model does not
support them together with reasoning). Results can vary between runs.

\b
Each result is one of:
  ok          it works
  restricted  it works only with another value of a parameter, which is shown
  ignored     the server accepted the request, but it had no effect
  refused     the server rejected the request; its message is shown
  unknown     not determined, for example because the server was busy
"""


@click.command(
    epilog=options.epilog(
        _EXAMPLES, _NOTES, success="every result is known", failure="a result is unknown"
    )
)
@click.argument("models", nargs=-1, required=True, shell_complete=options.complete_model)
@options.option(
    "--only",
    type=click.Choice(_NAMES),
    multiple=True,
    metavar="FEATURE",
    help=f"Test only this feature: {', '.join(_NAMES)}. Repeatable. Defaults to all.",
)
@options.option(
    "--at-once",
    type=click.IntRange(min=1),
    default=4,
    metavar="N",
    help="Maximum number of concurrent requests. Defaults to 4.",
)
@options.base_url
@options.allow_http
@options.timeout
@options.json_output
@options.debug
@click.pass_obj
def probe(
    session: Session,
    /,
    *,
    models: tuple[str, ...],
    only: tuple[str, ...],
    at_once: int,
    base_url: str | None,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Test which features MODELS support.

    Sends small real requests through the gateway, and shows the maximum number of them first.
    """
    terminal = session.terminal
    settings = session.settings(base_url, timeout)
    models = tuple(dict.fromkeys(models))
    features = [feature for feature in FEATURES if not only or feature.name in only]
    calls = len(models) * sum(feature.calls for feature in features)
    count = f"{len(models)} models" if len(models) > 1 else "1 model"
    terminal.note(f"Testing {count} with up to {calls} small requests.")
    totals = Totals()
    with terminal.spinner("Testing"):
        reports = asyncio.run(
            probe_models(settings, models, features, at_once=at_once, totals=totals)
        )
    if as_json:
        terminal.json(_json_value(terminal, reports, totals))
    elif terminal.is_terminal:
        _show_table(terminal, reports, features)
    else:
        _show_lines(terminal, reports)
    for report in reports:
        if report.error is not None:
            terminal.error(f"{report.model}: {message_with_hint(report.error)}")
    terminal.note(_format_totals(totals))
    return 1 if any(map(_is_incomplete, reports)) else 0


def _is_incomplete(report: Report) -> bool:
    return report.error is not None or any(
        result.status == "unknown" for result in report.results.values()
    )


def _show_table(terminal: Terminal, reports: Sequence[Report], features: Sequence[Feature]) -> None:
    """Show a column for each model, and details of each result that is not ok below it."""
    tested = [report for report in reports if report.error is None]
    if tested:
        table = Table("feature", *(terminal.safe_line(report.model) for report in tested))
        for feature in features:
            statuses = [report.results[feature.name].status for report in tested]
            table.add_row(feature.name, *(Text(status, _STYLES[status]) for status in statuses))
        terminal.out.print(table)
    for report in tested:
        for name, result in report.results.items():
            if result.status != "ok":
                terminal.line(
                    (f"{report.model} ", "bold"),
                    (f"{name} ", ""),
                    (result.status, _STYLES[result.status]),
                    (f": {terminal.safe_line(result.words)}", ""),
                )


def _show_lines(terminal: Terminal, reports: Sequence[Report]) -> None:
    """Write a line for each result: model, feature, status and words, separated by tabs."""
    for report in reports:
        for name, (status, words) in report.results.items():
            fields = (report.model, name, status, words)
            terminal.write("\t".join(map(terminal.safe_line, fields)) + "\n")


def _json_value(terminal: Terminal, reports: Sequence[Report], totals: Totals) -> dict[str, Any]:
    return {
        "models": [
            {
                "model": report.model,
                "error": None if report.error is None else terminal.safe_line(report.error.message),
                "features": {
                    name: {"status": status, "words": terminal.safe_line(words)}
                    for name, (status, words) in report.results.items()
                },
            }
            for report in reports
        ],
        "calls": totals.calls,
        "prompt_tokens": totals.prompt_tokens,
        "completion_tokens": totals.completion_tokens,
        "cost": totals.cost,
    }


def _format_totals(totals: Totals) -> str:
    cost = f", cost {format_cost(totals.cost)}" if totals.cost is not None else ""
    calls = "1 call" if totals.calls == 1 else f"{totals.calls} calls"
    return f"{calls}, {totals.prompt_tokens:,} tokens in, {totals.completion_tokens:,} out{cost}"
