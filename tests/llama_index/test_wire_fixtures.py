"""Every wire fixture through the LLM itself, sync and async."""

from __future__ import annotations

import pytest

from tests.llama_index.seen import seen
from tests.llama_index.ways import WAYS
from tests.recorded_transport import completion, stream
from tests.wire_cases import (
    BOTH_COMPLETIONS,
    BOTH_STREAMS,
    Fails,
    api_of,
    completion_bytes,
    stream_bytes,
)


@pytest.mark.parametrize("way", ["stream_chat", "astream_chat"])
@pytest.mark.parametrize("name", BOTH_STREAMS)
async def test_a_stream_is_read_or_fails_as_expected(line, name, way) -> None:
    await held_to(BOTH_STREAMS[name], line(stream(stream_bytes(name)), api=api_of(name)).llm, way)


@pytest.mark.parametrize("way", ["chat", "achat"])
@pytest.mark.parametrize("name", BOTH_COMPLETIONS)
async def test_a_completion_is_read_or_fails_as_expected(line, name, way) -> None:
    await held_to(
        BOTH_COMPLETIONS[name], line(completion(completion_bytes(name)), api=api_of(name)).llm, way
    )


async def held_to(case, llm, way) -> None:
    if isinstance(case, Fails):
        with pytest.raises(case.error, match=case.says) as failed:
            await WAYS[way](llm)
        partial = failed.value.partial
        assert (None if partial is None else partial.text) == case.partial
    else:
        assert seen(await WAYS[way](llm)) == case
