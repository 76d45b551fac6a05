"""Carries requests to Sunra and answers back; knows no framework.

`SunraClient` and `AsyncSunraClient` can be used on their own::

    from sunra_integrations.protocol.requests import ChatRequest
    from sunra_integrations.transport import SunraClient

    client = SunraClient()  # the key comes from SUNRA_KEY
    request = ChatRequest(model="openai/gpt-4o", messages=[{"role": "user", "content": "Hi"}])
    client.create(request).text
    for chunk in client.stream(request):
        ...
"""

from sunra_integrations.transport.client import AsyncSunraClient, SunraClient
from sunra_integrations.transport.retry import RetryPolicy
from sunra_integrations.transport.settings import Settings, Timeouts

__all__ = ["AsyncSunraClient", "RetryPolicy", "Settings", "SunraClient", "Timeouts"]
