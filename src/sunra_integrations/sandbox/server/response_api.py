"""``/v1/responses``: replies as responses, whole or as events."""

from functools import partial
from typing import Any

from sunra_integrations.sandbox.contract.checks import wrong_type
from sunra_integrations.sandbox.contract.http_rules import (
    CHANGED_REASONING,
    ITEM_NOT_FOUND,
    PREVIOUS_RESPONSE_NOT_FOUND,
    ErrorResponse,
    invalid_request,
)
from sunra_integrations.sandbox.contract.reasoning_token import replay_problems
from sunra_integrations.sandbox.contract.response_input import conversation_problems
from sunra_integrations.sandbox.contract.response_parameters import RESPONSE_REQUEST
from sunra_integrations.sandbox.rule_based.replies import Reply
from sunra_integrations.sandbox.server.calls import Call, Encoded
from sunra_integrations.sandbox.server.chat_form import Item, chat_request, input_items
from sunra_integrations.sandbox.server.response_events import encode_events
from sunra_integrations.sandbox.server.response_object import response_object
from sunra_integrations.sandbox.server.stored_responses import StoredResponses


class ResponseApi:
    """Responses. The latest ones are stored, unless a request has ``store: false``."""

    request = RESPONSE_REQUEST

    def __init__(self) -> None:
        self._stored = StoredResponses()

    def clear(self) -> None:
        """Removes the stored responses."""
        self._stored.clear()

    def accept(self, body: dict[str, Any]) -> Call | ErrorResponse:
        """The call for a body that keeps the rules, or the error if it refers to unknown things."""
        given = {name: value for name, value in body.items() if value is not None}
        earlier = self._earlier(given)
        if isinstance(earlier, ErrorResponse):
            return earlier
        items = self._with_references(input_items(given))
        if isinstance(items, ErrorResponse):
            return items
        problems = list(conversation_problems(items, earlier))
        if problems:
            return invalid_request(problems)
        changed = list(replay_problems(items))
        if changed:
            return ErrorResponse(CHANGED_REASONING, changed[0].message, changed)
        chat = chat_request(given, [*earlier, *items])
        return Call(body, chat, partial(self._encode, given, items), self.request.unknown(body))

    def _earlier(self, body: dict[str, Any]) -> list[Item] | ErrorResponse:
        """The items of the responses that a request goes on from."""
        previous_id = body.get("previous_response_id")
        if previous_id is None:
            return []
        earlier = self._stored.conversation(previous_id)
        if earlier is not None:
            return earlier
        rule = "the id of a stored response (the sandbox keeps the latest, unless `store` is false)"
        problem = wrong_type("previous_response_id", previous_id, rule)
        return ErrorResponse(PREVIOUS_RESPONSE_NOT_FOUND, problem.message, [problem])

    def _with_references(self, items: list[Item]) -> list[Item] | ErrorResponse:
        """The items, with stored ones in place of references."""
        ids = {item["id"] for item in items if _is_reference(item)}
        stored = self._stored.items(ids) if ids else {}
        for index, item in enumerate(items):
            if _is_reference(item) and item["id"] not in stored:
                rule = "the id of an item of a stored response"
                problem = wrong_type(f"input[{index}].id", item["id"], rule)
                return ErrorResponse(ITEM_NOT_FOUND, problem.message, [problem])
        return [stored[item["id"]] if _is_reference(item) else item for item in items]

    def _encode(self, body: dict[str, Any], items: list[Item], reply: Reply) -> Encoded:
        response = response_object(body, reply)
        encoded: Encoded = encode_events(response) if body.get("stream") else response
        if body.get("store", True):
            all_items = [*items, *response["output"]]
            self._stored.add(response["id"], body.get("previous_response_id"), all_items)
        return encoded


def _is_reference(item: Item) -> bool:
    return item.get("type") == "item_reference"
