r"""A strict local Sunra endpoint to develop and test against, without account, network or model.

It emulates the API, not a model. Requests are validated against the documented API, and every
problem is reported. Replies are deterministic and made of the conversation's own words: sentences
are quoted, tool arguments and JSON values are taken from the last turn. Every reply has
``"provider": "sandbox"`` and ``"system_fingerprint": "sandbox"``.

    from sunra_integrations.sandbox import Sandbox

    with Sandbox() as sandbox:
        ...  # point any client at sandbox.base_url, with sandbox.api_key

A test can queue replies, down to the bytes::

    sandbox.next("Hello")                                         # a text
    sandbox.next(CallTools(("get_weather", {"city": "Paris"})))   # a tool call
    sandbox.next(Http(429, {"error": "slow down"}, {"retry-after": "1"}))
    sandbox.next(sse(b'data: {"cho', b'ices": []}\n\n'), pause=0.1)
    sandbox.next("cut off", cut_after=40)                         # the connection closes

and look at the requests it received: ``sandbox.requests[-1].json``. From a shell, run
``python -m sunra_integrations.sandbox``. In pytest, use the fixture ``sunra_sandbox``.

It serves ``/v1/chat/completions`` and ``/v1/responses``, with the same replies and scripts. A
chat message that a test scripts becomes the output items of a response; the finish reason ``error``
makes a failed one. Responses are stored for ``previous_response_id``, unless ``store`` is false.

The OpenAPI document at ``/openapi.json`` describes both. The sandbox has limits that Sunra does
not state. A request may have 128 choices, 64 MiB and 96 levels of nesting. A schema may have
500,000 characters, and the schemas of a request take at most 30,000 steps to fill.
The latest 1,000 responses are stored, of at most 64 MiB together.

Install the extra: ``pip install 'sunra-integrations[sandbox]'``.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sunra_integrations.sandbox.server.sandbox import Sandbox
    from sunra_integrations.sandbox.server.scripting import (
        Answer,
        CallTools,
        HangUp,
        Http,
        Message,
        Received,
        Say,
        Scripted,
        TextReply,
        completion,
        sse,
    )
    from sunra_integrations.sandbox.server.without_key import stand_in

__all__ = [
    "Answer",
    "CallTools",
    "HangUp",
    "Http",
    "Message",
    "Received",
    "Sandbox",
    "Say",
    "Scripted",
    "TextReply",
    "completion",
    "sse",
    "stand_in",
]

if not TYPE_CHECKING:  # type checkers would take every name of this module for an `Any`

    def __getattr__(name: str) -> Any:
        """Imports a name on first use, because pytest imports this package in every project."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # Import statements, because freezers such as PyInstaller do not see computed names.
        if name == "Sandbox":
            from sunra_integrations.sandbox.server import sandbox  # noqa: PLC0415

            return sandbox.Sandbox
        if name == "stand_in":
            from sunra_integrations.sandbox.server import without_key  # noqa: PLC0415

            return without_key.stand_in
        from sunra_integrations.sandbox.server import scripting  # noqa: PLC0415

        return getattr(scripting, name)


def __dir__() -> list[str]:
    return sorted(__all__)
