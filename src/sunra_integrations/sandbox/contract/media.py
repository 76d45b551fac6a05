"""URLs and base64 data of images, audio, video and files."""

import re
from collections.abc import Iterator
from typing import Any

from sunra_integrations.sandbox.contract.checks import (
    Check,
    Problem,
    broken_rule,
    scalar,
    string,
    with_schema,
)
from sunra_integrations.sandbox.contract.json_schema import matches_pattern

# Readers of the OpenAPI document disagree on what \s matches, so the characters are spelled out.
WEB_URL = string(
    r"[Hh][Tt][Tt][Pp][Ss]?://[^\x00-\x20\x7F/?#]+[^\x00-\x20\x7F]*",
    "an http:, https: or data: URL",
)
_BASE64_PATTERN = r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)"
_SUBTYPE = r"[A-Za-z0-9_.+-]+"


def _data_url_start(family: str) -> str:
    """The pattern of a data URL up to its data. An empty family stands for any."""
    return rf"data:{family or _SUBTYPE}/{_SUBTYPE}(?:;[A-Za-z0-9_-]+=[^;,]*)*;base64,"


BASE64 = scalar(
    str,
    {"type": "string", "contentEncoding": "base64", "pattern": f"^{_BASE64_PATTERN}$"},
    "valid base64 of at least one byte",
    # Not `re`, which keeps a state for every repetition over megabytes.
    lambda value: matches_pattern(f"^{_BASE64_PATTERN}$", value),
)


def _data_url(family: str) -> Check:
    """Accepts base64 data URLs of a media family."""
    any_start, start = re.compile(_data_url_start("")), re.compile(_data_url_start(family))

    @with_schema({"type": "string", "pattern": f"^{_data_url_start(family)}{_BASE64_PATTERN}$"})
    def check(path: str, value: Any) -> Iterator[Problem]:
        found = any_start.match(value)
        if found is None:
            yield broken_rule(path, value, "a data URL of the form data:<type>;base64,<data>")
            return
        if not start.match(value):
            yield broken_rule(path, value, f"a data URL of type {family}/…")
        yield from BASE64(path, value[found.end() :])

    return check


def data_url_or(other: Check, family: str = "") -> Check:
    """Accepts data URLs of a media family, and what another check accepts."""
    data_url = _data_url(family)

    @with_schema({"anyOf": [other.schema, data_url.schema]})
    def check(path: str, value: Any) -> Iterator[Problem]:
        is_data_url = isinstance(value, str) and value.startswith("data:")
        yield from (data_url if is_data_url else other)(path, value)

    return check
