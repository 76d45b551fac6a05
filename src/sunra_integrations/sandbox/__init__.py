r"""A strict local Sunra endpoint to develop and test against: no account, no network, no model.

It stands in for the *wire*, not for a model. Requests are held to the documented contract, every
broken rule is told. Replies are deterministic and made of the conversation's own words: sentences
are quoted, tool arguments and JSON values are picked from the turn. Every reply says so, with
``"provider": "sandbox"`` and ``"system_fingerprint": "sandbox"``.

    from sunra_integrations.sandbox import Sandbox

    with Sandbox() as sandbox:
        ...  # point any client at sandbox.base_url, with sandbox.api_key

A test can say what comes next, down to the bytes::

    sandbox.next("Hello")                                         # a text
    sandbox.next(CallTools(("get_weather", {"city": "Paris"})))   # a tool call
    sandbox.next(Http(429, {"error": "slow down"}, {"retry-after": "1"}))
    sandbox.next(sse(b'data: {"cho', b'ices": []}\n\n'), pause=0.1)
    sandbox.next("cut off", cut_after=40)                         # the connection closes

and see what was sent: ``sandbox.requests[-1].json``. From a shell:
``python -m sunra_integrations.sandbox``. In pytest: the fixture ``sunra_sandbox``.

What it checks and answers is described by the OpenAPI document at ``/openapi.json``. Where Sunra
states no limit, it has a few of its own: 128 choices, 64 MiB and 96 levels of nesting a request,
500,000 characters a schema, and 30,000 steps to fill the schemas of a request.

Needs the extra: ``pip install 'sunra-integrations[sandbox]'``.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sunra_integrations.sandbox.ledger import Received
    from sunra_integrations.sandbox.scripted import (
        Answer,
        CallTools,
        HangUp,
        Http,
        Message,
        Say,
        Scripted,
        completion,
        sse,
    )
    from sunra_integrations.sandbox.server import Sandbox
    from sunra_integrations.sandbox.standing_in import stand_in

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
    "completion",
    "sse",
    "stand_in",
]

if not TYPE_CHECKING:  # it would make every name of this module an `Any` to a type checker

    def __getattr__(name: str) -> Any:
        """Loads a name when it is asked for: pytest imports this package in every project."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # Import statements, since freezers do not see names that are put together.
        if name == "Sandbox":
            from sunra_integrations.sandbox import server  # noqa: PLC0415

            return server.Sandbox
        if name == "Received":
            from sunra_integrations.sandbox import ledger  # noqa: PLC0415

            return ledger.Received
        if name == "stand_in":
            from sunra_integrations.sandbox import standing_in  # noqa: PLC0415

            return standing_in.stand_in
        from sunra_integrations.sandbox import scripted  # noqa: PLC0415

        return getattr(scripted, name)


def __dir__() -> list[str]:
    return sorted(__all__)
