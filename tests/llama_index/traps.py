"""Sunras with the bugs that LLMs of LlamaIndex were found to have, one each.

The conformance suite must catch them all; see test_conformance_traps.py.
"""

from __future__ import annotations

import threading
from typing import Any

import httpx
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    ImageBlock,
    LLMMetadata,
    MessageRole,
    TextBlock,
    ThinkingBlock,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.dispatcher import DISPATCHER_SPAN_DECORATED_ATTR
from pydantic import BaseModel, PrivateAttr

from sunra_integrations.errors import ServerFailed, StreamInterrupted, SunraError
from sunra_integrations.errors import UnreadableResponse as NoAnswer
from sunra_integrations.llama_index import Sunra
from sunra_integrations.llama_index import response as converters
from sunra_integrations.llama_index.response import StreamState
from sunra_integrations.llama_index.tools import InvalidToolCall, first_call_only
from sunra_integrations.protocol.reply import Chunk

NOTHING_SAID = ChatResponse(message=ChatMessage(role=MessageRole.ASSISTANT, content=""))

# ── calls ────────────────────────────────────────────────────────────────────


class RetriesTwice(Sunra):
    def _chat(self, messages, **kwargs):
        try:
            return super()._chat(messages, **kwargs)
        except SunraError:
            return super()._chat(messages, **kwargs)


class TakesAnErrorForAnAnswer(Sunra):
    def _chat(self, messages, **kwargs):
        try:
            return super()._chat(messages, **kwargs)
        except ServerFailed:
            return NOTHING_SAID


class TakesNoChoiceForAnAnswer(Sunra):
    def _chat(self, messages, **kwargs):
        try:
            return super()._chat(messages, **kwargs)
        except NoAnswer:
            return NOTHING_SAID


class StumblesOverNoChoice(Sunra):
    def _chat(self, messages, **kwargs):
        try:
            return super()._chat(messages, **kwargs)
        except NoAnswer:
            raise IndexError("list index out of range") from None


class TakesHalfAStreamForAll(Sunra):
    def _stream_chat(self, messages, **kwargs):
        try:
            yield from super()._stream_chat(messages, **kwargs)
        except StreamInterrupted:
            return


class SendsDefaults(Sunra):
    temperature: float | None = 0.1


class NeedsATemperature(Sunra):
    temperature: float = 0.1


class InstanceWins(Sunra):
    def _request(self, messages, kwargs):
        return super()._request(messages, {**kwargs, **self._parameters()})


class KnowsSomeModelsOnly(Sunra):
    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(context_window={"openai/gpt-4o": 128_000}[self.model])


# ── streams ──────────────────────────────────────────────────────────────────


class Rereads(Sunra):
    """Makes something else of each chunk before it is read."""

    def reread(self, chunk: Chunk) -> Chunk:
        raise NotImplementedError

    def _responses(self, request, headers):
        so_far = StreamState()
        for chunk in self._client().stream(request, headers=headers):
            reread = self.reread(chunk)
            so_far.add(reread)
            yield converters.chunk(reread, so_far)


def _with_calls(chunk: Chunk, change) -> Chunk:
    choices = [
        choice._replace(tool_calls=tuple(change(call) for call in choice.tool_calls))
        for choice in chunk.choices
    ]
    return chunk._replace(choices=tuple(choices))


class MixesChoices(Rereads):
    def reread(self, chunk):
        return chunk._replace(choices=tuple(c._replace(choice_index=0) for c in chunk.choices))


class MixesInterleavedCalls(Rereads):
    _last: int = PrivateAttr(default=0)

    def reread(self, chunk):
        def change(call):
            self._last = call.call_index if call.name else self._last
            return call._replace(call_index=self._last)

        return _with_calls(chunk, change)


class DoublesRepeatedNames(Rereads):
    _names: dict[int, str] = PrivateAttr(default_factory=dict)

    def reread(self, chunk):
        def change(call):
            self._names.setdefault(call.call_index, call.name or "")
            return call._replace(name=self._names[call.call_index])

        return _with_calls(chunk, change)


class ReadsTheFirstCallOnly(Rereads):
    def reread(self, chunk):
        choices = [c._replace(tool_calls=c.tool_calls[:1]) for c in chunk.choices]
        return chunk._replace(choices=tuple(choices))


class ForgetsUsage(Sunra):
    """Usage counts where it stands on the last chunk, and not on an earlier one."""

    def _responses(self, request, headers):
        so_far = StreamState()
        for chunk in self._client().stream(request, headers=headers, so_far=so_far):
            response = converters.chunk(chunk, so_far)
            response.raw = dict(chunk.raw)
            yield response


class EndsEmpty(Sunra):
    """The chunk with usage and no choice makes an empty last response."""

    def _responses(self, request, headers):
        so_far = StreamState()
        for chunk in self._client().stream(request, headers=headers, so_far=so_far):
            response = converters.chunk(chunk, so_far)
            if not chunk.choices:
                response.message = NOTHING_SAID.message
            yield response


class ChangesWhatWasGiven(Sunra):
    def _stream_chat(self, messages, **kwargs):
        first = None
        for response in super()._stream_chat(messages, **kwargs):
            first = first or response
            first.message.blocks[:] = response.message.blocks
            response.message = first.message
            yield response


class LosesTheFirstThought(Sunra):
    async def _astream_chat(self, messages, **kwargs):
        begun = False
        async for response in super()._astream_chat(messages, **kwargs):
            if not begun and response.additional_kwargs.pop("thinking_delta", None):
                begun = True
            yield response


class LeavesTheConnectionOpen(Sunra):
    """Reads the stream to its end before it gives any of it."""

    def _stream_chat(self, messages, **kwargs):
        yield from list(super()._stream_chat(messages, **kwargs))


# ── tool calls ───────────────────────────────────────────────────────────────


class LosesTheSecondCall(Sunra):
    def _chat(self, messages, **kwargs):
        return first_call_only(super()._chat(messages, **kwargs))


class GivesOneFormOfCalls(Sunra):
    def _chat(self, messages, **kwargs):
        response = super()._chat(messages, **kwargs)
        response.message.additional_kwargs.pop("tool_calls", None)
        return response


class ChangesTheHistory(Sunra):
    def _prepare_chat_with_tools(self, tools, user_msg=None, chat_history=None, **kwargs):
        if chat_history is not None and user_msg is not None:
            chat_history.append(ChatMessage(user_msg))
            user_msg = None
        return super()._prepare_chat_with_tools(tools, user_msg, chat_history, **kwargs)


class SpeaksOfNoTools(Sunra):
    def _prepare_chat_with_tools(self, tools, *args, **kwargs):
        prepared = super()._prepare_chat_with_tools(tools, *args, **kwargs)
        body = {"tools": [], "tool_choice": "auto"} if not tools else {}
        return {**prepared, "extra_body": body}


class RequiresNothing(Sunra):
    def _prepare_chat_with_tools(self, tools, *args, tool_required=False, **kwargs):
        return super()._prepare_chat_with_tools(tools, *args, **kwargs)


class KeepsCallsThatAreNotAllowed(Sunra):
    def stream_chat_with_tools(self, *args, **kwargs):
        messages = super()._prepare_chat_with_tools(*args, **kwargs)
        return self.stream_chat(**messages)


# ── structured output ────────────────────────────────────────────────────────


class LosesRefusals(Sunra):
    def _chat(self, messages, **kwargs):
        response = super()._chat(messages, **kwargs)
        response.message.additional_kwargs.pop("refusal", None)
        return response


class TakesNoFence(Sunra):
    def structured_predict(self, output_cls, prompt, llm_kwargs=None, **prompt_args):
        messages, kwargs = self._structured_call(output_cls, prompt, llm_kwargs, prompt_args)
        return output_cls.model_validate_json(self.chat(messages, **kwargs).message.content)


class ForgetsTheSystemPromptInAsync(Sunra):
    async def astructured_predict(self, *args, **kwargs):
        without = self.model_copy(update={"system_prompt": None})
        return await Sunra.astructured_predict(without, *args, **kwargs)


# ── content ──────────────────────────────────────────────────────────────────


def _without(messages, *kinds):
    return [
        ChatMessage(
            role=message.role,
            blocks=[block for block in message.blocks if not isinstance(block, kinds)],
            additional_kwargs=message.additional_kwargs,
        )
        for message in messages
    ]


class DropsImages(Sunra):
    def _request(self, messages, kwargs):
        return super()._request(_without(messages, ImageBlock), kwargs)


class DropsAllButText(Sunra):
    def _request(self, messages, kwargs):
        plain = [
            ChatMessage(role=m.role, blocks=[b for b in m.blocks if isinstance(b, TextBlock)])
            for m in messages
        ]
        return super()._request(plain, kwargs)


class ForgetsThinking(Sunra):
    def _request(self, messages, kwargs):
        return super()._request(_without(messages, ThinkingBlock), kwargs)


class RunsOnGuesses(Sunra):
    def get_tool_calls_from_response(self, response, error_on_no_tool_call=True, **kwargs):
        as_if_streaming = {"delta": "", "additional_kwargs": {}}
        response = response.model_copy(update=as_if_streaming)
        return super().get_tool_calls_from_response(response, error_on_no_tool_call)


class GivesUpOnBrokenCalls(Sunra):
    def get_tool_calls_from_response(self, response, error_on_no_tool_call=True, **kwargs):
        calls = super().get_tool_calls_from_response(response, error_on_no_tool_call)
        for call in calls:
            if isinstance(call, InvalidToolCall):
                raise call.error
        return calls


# ── what is shown ────────────────────────────────────────────────────────────


class TellsTwice(Sunra):
    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return converters.completion(self.chat(self._user_message(prompt, formatted), **kwargs))


class HidesFromSpans(Sunra):
    def chat(self, messages, **kwargs):
        return _as_a_function(self, messages, **kwargs)

    setattr(chat, DISPATCHER_SPAN_DECORATED_ATTR, True)


@get_dispatcher().span
@llm_chat_callback()
def _as_a_function(self, messages, **kwargs):
    return self._chat(messages, **kwargs)


class PredictsInTwoSpans(Sunra):
    def structured_predict(self, output_cls, prompt, llm_kwargs=None, **prompt_args):
        return super().structured_predict(output_cls, prompt, llm_kwargs, **prompt_args)


class ShowsTheHeadersOfACall(Sunra):
    @llm_chat_callback()
    def chat(self, messages, **kwargs):
        return self._chat(messages, **kwargs)


class ShowsTheKeyInPayloads(Sunra):
    def to_payload(self):
        return {**super().to_payload(), "api_key": self.api_key.get_secret_value()}


class ShowsTheKeyInItsDict(Sunra):
    def to_dict(self, **kwargs):
        return {**super().to_dict(**kwargs), "api_key": self.api_key.get_secret_value()}


class ShowsTheKeyInItsRepr(Sunra):
    def __repr__(self) -> str:
        return f"Sunra(api_key={self.api_key.get_secret_value()})"


class ShowsTheHeadersInItsRepr(Sunra):
    def __repr__(self) -> str:
        return f"Sunra(default_headers={self.default_headers})"


class NamesNoUsage(Sunra):
    def _chat(self, messages, **kwargs):
        response = super()._chat(messages, **kwargs)
        response.raw.pop("usage")
        response.additional_kwargs.clear()
        return response


# ── an object's life ─────────────────────────────────────────────────────────


class NeedsItsKeyToLoad(Sunra):
    def __setstate__(self, state):
        self.__init__(**state["__dict__"])


class KeepsOneAsyncClient(Sunra):
    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        self.async_http_client = httpx.AsyncClient()


class CannotBeCopied(Sunra):
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    def __deepcopy__(self, memo=None):
        return BaseModel.__deepcopy__(self, memo)


class KeepsItsFirstKey(Sunra):
    _first: Any = PrivateAttr(default=None)

    def _client(self, changes=None):
        self._first = self._first or super()._client(changes)
        return self._first


class ClosesTheUsersClient(Sunra):
    def _chat(self, messages, **kwargs):
        with self.http_client or httpx.Client():
            return super()._chat(messages, **kwargs)
