"""docs/private-api.md lists every private part of a library in use, with a test that holds it."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import HumanMessage
from langchain_core.tracers._streaming import _V2StreamingCallbackHandler

from sunra_integrations.langchain import ChatSunra
from tests.documents import DOCS, ROOT
from tests.private_api import SOURCE, private_parts
from tests.recorded_transport import Recorded, completion
from tests.wire_cases import completion_bytes

TEXT = (DOCS / "private-api.md").read_text(encoding="utf-8")
ROW = re.compile(
    r"^\| `(?P<name>[^`|]+)` [^|]*\| (?P<files>`[^|]+) \|[^|]*\| (?P<test>`[^|]+) \|$", re.MULTILINE
)
ROWS = [match.groupdict() for match in ROW.finditer(TEXT)]
CODE = re.compile(r"`([^`]+)`")


def test_the_private_parts_in_use_are_the_listed_ones():
    """Also fails when a library renames a method that is overridden here."""
    listed: dict[str, set[str]] = {}
    for row in ROWS:
        if row["name"].startswith("_"):
            listed.setdefault(row["name"], set()).update(CODE.findall(row["files"]))
    assert listed == private_parts()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_a_listed_part_has_a_file_that_uses_it_and_a_test(row: dict[str, str]):
    for file in CODE.findall(row["files"]):
        text = (SOURCE / file).read_text(encoding="utf-8")
        assert row["name"].rpartition(".")[2] in text
    for test in CODE.findall(row["test"]):
        path, _, name = test.partition("::")
        assert re.search(
            rf"^\s*(?:async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE
        )


def test_undocumented_modules_of_aiohttp_are_listed():
    imported = {
        module
        for path in SOURCE.rglob("*.py")
        for module in re.findall(
            r"^from (aiohttp\.\w+) import", path.read_text("utf-8"), re.MULTILINE
        )
    }
    assert imported <= {row["name"] for row in ROWS} | {"aiohttp.abc"}


def test_the_list_is_read_at_all():
    assert len(ROWS) > 30


# ── parts that no other test holds ───────────────────────────────────────────


def chat(body: str, **given: Any) -> ChatSunra:
    transport = Recorded(completion(completion_bytes(body)))
    client = httpx.Client(transport=transport)
    return ChatSunra(model="a/b", api_key="k", http_client=client, **given)


class EventHandler(BaseCallbackHandler, _V2StreamingCallbackHandler):
    """A handler that makes LangChain stream the events of a call."""


def test_several_choices_are_not_streamed_as_events():
    """Holds `_should_use_protocol_streaming`."""
    model = chat("two_choices", n=2)
    result = model.generate([[HumanMessage("Hi")]], callbacks=[EventHandler()])
    assert [one.text for one in result.generations[0]] == ["A", "B"]


def test_a_cached_message_costs_nothing():
    """Holds `_convert_cached_generations`."""
    model = chat("usage_with_details_and_cost", cache=InMemoryCache())
    first, second = model.invoke("Hi"), model.invoke("Hi")
    assert first.response_metadata["cost"] > 0
    assert second.response_metadata["cost"] == 0
