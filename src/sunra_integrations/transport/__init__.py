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
