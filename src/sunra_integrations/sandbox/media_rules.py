"""The rules of content parts: text, images, audio, video and files."""

import re
from collections.abc import Iterator
from typing import Any

from sunra_integrations.sandbox.checks import (
    NON_EMPTY,
    TEXT,
    Check,
    Problem,
    breaks_rule,
    object_of,
    one_of,
    stated_as,
    string,
    wrong_type,
)

_TYPE_CHARACTER = r"[A-Za-z0-9_.+-]"
_PARAMETERS = r"(?:;[A-Za-z0-9_-]+=[^;,]*)*"
# Spelled out, because what \s stands for differs between the dialects of readers of the document.
_WEB_URL = r"[Hh][Tt][Tt][Pp][Ss]?://[^\x00-\x20\x7F/?#]+[^\x00-\x20\x7F]*"
_DATA_URL = re.compile(rf"data:({_TYPE_CHARACTER}+/{_TYPE_CHARACTER}+){_PARAMETERS};base64,")

# Told in one pass over megabytes, where a pattern that counts in fours would keep its every step.
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_QUANTUM = 4
_BASE64_IN_FOURS = r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)"


def _data_url_schema(family: str) -> dict[str, Any]:
    """The JSON Schema of a data URL of a media family; of any where the family is empty."""
    kind = family or f"{_TYPE_CHARACTER}+"
    head = rf"data:{kind}/{_TYPE_CHARACTER}+{_PARAMETERS};base64,"
    return {"type": "string", "pattern": f"^{head}{_BASE64_IN_FOURS}$"}


def _media_url(family: str) -> Check:
    """A check for an http(s) URL or a base64 data URL of a media family."""
    web = string(_WEB_URL, "an http:, https: or data: URL")

    @stated_as({"anyOf": [web.schema, _data_url_schema(family)]})
    def check(path: str, value: Any) -> Iterator[Problem]:
        if isinstance(value, str) and value.startswith("data:"):
            yield from _data_url(path, value, family)
        else:
            yield from web(path, value)

    return check


def _data_url(path: str, value: str, family: str) -> Iterator[Problem]:
    head = _DATA_URL.match(value)
    if head is None:
        yield breaks_rule(path, value, "a data URL of the form data:<type>;base64,<data>")
        return
    if family and not head[1].startswith(family + "/"):
        yield breaks_rule(path, value, f"a data URL of type {family}/…")
    yield from _base64(path, value[head.end() :])


@stated_as({"type": "string", "contentEncoding": "base64", "pattern": f"^(?:{_BASE64_IN_FOURS})$"})
def _base64(path: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, str):
        yield wrong_type(path, value, "base64 text")
    elif not value:
        yield breaks_rule(path, value, "base64 of at least one byte")
    elif len(value) % _QUANTUM or not _BASE64.fullmatch(value):
        yield breaks_rule(path, value, "base64 that decodes")


@stated_as({"anyOf": [_base64.schema, _data_url_schema("")]})
def _file_data(path: str, value: Any) -> Iterator[Problem]:
    if isinstance(value, str) and value.startswith("data:"):
        yield from _data_url(path, value, "")
    else:
        yield from _base64(path, value)


_FILE = object_of(optional={"filename": NON_EMPTY, "file_data": _file_data, "file_id": NON_EMPTY})


@stated_as(
    {
        **_FILE.schema,
        "oneOf": [{"required": ["file_data"]}, {"required": ["file_id"]}],
        "dependentRequired": {"file_data": ["filename"]},
    }
)
def _file(path: str, value: Any) -> Iterator[Problem]:
    yield from _FILE(path, value)
    if not isinstance(value, dict):
        return
    if ("file_data" in value) == ("file_id" in value):
        yield breaks_rule(path, value, "an object with one of file_data and file_id")
    if "file_data" in value and "filename" not in value:
        yield breaks_rule(path, value, "an object with a filename beside its file_data")


_DETAIL = one_of("auto", "low", "high")
_AUDIO_FORMAT = string(r"[a-z0-9_]{1,16}", "a short format name such as wav or mp3")

PARTS: dict[str, Check] = {
    "text": object_of({"text": TEXT}),
    "refusal": object_of({"refusal": TEXT}),
    "thinking": object_of(),
    "image_url": object_of(
        {"image_url": object_of({"url": _media_url("image")}, {"detail": _DETAIL})}
    ),
    "input_audio": object_of(
        {"input_audio": object_of({"data": _base64, "format": _AUDIO_FORMAT})}
    ),
    "video_url": object_of({"video_url": object_of({"url": _media_url("video")})}),
    "file": object_of({"file": _file}),
}
"""What to check for each type of part."""
