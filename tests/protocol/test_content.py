from __future__ import annotations

import base64

import pytest

from sunra_integrations.errors import UnsupportedContent
from sunra_integrations.protocol import content

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20


@pytest.mark.parametrize(
    ("made", "part"),
    [
        (content.text_part("Hi"), {"type": "text", "text": "Hi"}),
        (
            content.image_part("https://a.example/x.png"),
            {"type": "image_url", "image_url": {"url": "https://a.example/x.png"}},
        ),
        (
            content.image_part("https://a.example/x.png", detail="low"),
            {"type": "image_url", "image_url": {"url": "https://a.example/x.png", "detail": "low"}},
        ),
        (
            content.audio_part("AAAA", format="wav"),
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        ),
        (
            content.video_part("https://a.example/x.mp4"),
            {"type": "video_url", "video_url": {"url": "https://a.example/x.mp4"}},
        ),
        (
            content.file_part(data="data:application/pdf;base64,AAAA", filename="a.pdf"),
            {
                "type": "file",
                "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
            },
        ),
        (content.file_part(file_id="f-1"), {"type": "file", "file": {"file_id": "f-1"}}),
    ],
)
def test_parts_have_the_wire_s_shape_and_nothing_unsaid(made, part):
    assert made == part


def test_bytes_become_a_data_url_that_decodes_to_them():
    url = content.data_url(PNG, "image/png")
    head, _, data = url.partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == PNG


def test_text_that_is_base64_already_is_not_encoded_twice():
    encoded = base64.b64encode(PNG).decode()
    assert content.as_base64(encoded) is encoded
    assert content.as_base64(f"data:image/png;base64,{encoded}") == encoded


@pytest.mark.parametrize(
    ("data", "mime_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0" + b"\x00" * 10, "image/jpeg"),
        (b"GIF89a" + b"\x00" * 10, "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/wav"),
        (b"%PDF-1.7\n", "application/pdf"),
        (b"ID3\x04" + b"\x00" * 10, "audio/mpeg"),
        (b"OggS" + b"\x00" * 10, "audio/ogg"),
        (b"\x00\x00\x00\x18ftypmp42" + b"\x00" * 8, "video/mp4"),
        (b"\x00\x00\x00\x18ftypM4A " + b"\x00" * 8, "audio/mp4"),
    ],
)
def test_the_first_bytes_tell_the_type_raw_or_in_base64(data, mime_type):
    assert content.sniff_mime_type(data, position="messages[0]") == mime_type
    encoded = base64.b64encode(data).decode()
    assert content.sniff_mime_type(encoded, position="messages[0]") == mime_type


@pytest.mark.parametrize("data", [b"", b"hello", "not base64!", ""])
def test_bytes_of_no_known_kind_are_refused_with_their_place(data):
    with pytest.raises(UnsupportedContent, match=r"messages\[2\]\.content\[0\]") as caught:
        content.sniff_mime_type(data, position="messages[2].content[0]")
    assert caught.value.position == "messages[2].content[0]"


@pytest.mark.parametrize(
    ("mime_type", "name"),
    [("audio/mpeg", "mp3"), ("audio/x-wav", "wav"), ("audio/wav", "wav"), ("audio/flac", "flac")],
)
def test_audio_types_have_the_wire_s_names(mime_type, name):
    assert content.audio_format(mime_type) == name
