"""The ``format`` of JSON Schema strings: which words have it, and what stands in for them."""

from sunra_integrations.sandbox.mentions import Kind

# A text of each format, for where the words have none.
FORMATS = {
    "date-time": "2025-01-01T00:00:00Z",
    "date": "2025-01-01",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "idn-email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uri-reference": "/example",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "json-pointer": "/example",
    "regex": ".*",
}
# The kind of mention that is of a format.
SPOKEN_FORMATS: dict[str, Kind] = {
    "date-time": "datetime",
    "date": "date",
    "time": "time",
    "email": "email",
    "uri": "url",
    "uuid": "uuid",
}


def is_written_strictly(text: str) -> bool:
    """Whether a spoken date, time or address is written as its format demands."""
    return not any(sign.isspace() for sign in text) and not text.isalpha() and text[2:3] != "/"
