"""HTTP clients for Sunra. This package imports no framework.

`SunraClient` and `AsyncSunraClient` can be used on their own::

    from sunra_integrations.protocol.request import ChatRequest
    from sunra_integrations.transport import SunraClient

    client = SunraClient()  # the key comes from SUNRA_KEY, or SunraClient(api_key=…)
    request = ChatRequest(model="openai/gpt-4o", messages=[{"role": "user", "content": "Hi"}])
    client.create(request).text
    for chunk in client.stream(request):
        ...
"""

from typing import TYPE_CHECKING, Any

from sunra_integrations.requirements import requiring

with requiring("The client", "pydantic", "httpx"):
    from sunra_integrations.transport.retry import RetryPolicy
    from sunra_integrations.transport.settings import Settings
    from sunra_integrations.transport.timeouts import Timeouts

if TYPE_CHECKING:
    from sunra_integrations.transport.client import AsyncSunraClient, SunraClient

__all__ = ["AsyncSunraClient", "RetryPolicy", "Settings", "SunraClient", "Timeouts"]

if not TYPE_CHECKING:  # it would make every name of this module an `Any` to a type checker

    def __getattr__(name: str) -> Any:
        """The clients, loaded when first asked for: an import of an adapter needs none of it."""
        if name in {"AsyncSunraClient", "SunraClient"}:
            from sunra_integrations.transport import client  # noqa: PLC0415 - freezers see this form

            return getattr(client, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
