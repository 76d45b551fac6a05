"""`sunra chat --file`: the part that each type of file becomes."""

from __future__ import annotations

import base64
import json
import os

import pytest

from tests import platforms
from tests.cli.conftest import Typed

CHAT = ("chat", "-q", "-m", "sandbox/echo")
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 8
JPEG = b"\xff\xd8\xff\xe0" + b"\x00" * 8
PDF = b"%PDF-1.7\nplain text"
WAV = b"RIFF\x10\x00\x00\x00WAVEfmt "
MP3 = b"ID3\x03\x00" + b"\x00" * 8
MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00"


def encoded(data):
    return base64.b64encode(data).decode()


def content_of(request):
    return request.json["messages"][-1]["content"]


PARTS = {
    "an image": (
        "a.bin",
        PNG,
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded(PNG)}"}},
    ),
    "a photo": (
        "a.png",
        JPEG,
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{encoded(JPEG)}"}},
    ),
    "a PDF": (
        "The invoice.pdf",
        PDF,
        {
            "type": "file",
            "file": {
                "filename": "The invoice.pdf",
                "file_data": f"data:application/pdf;base64,{encoded(PDF)}",
            },
        },
    ),
    "a wave file": (
        "a.wav",
        WAV,
        {"type": "input_audio", "input_audio": {"data": encoded(WAV), "format": "wav"}},
    ),
    "an mp3": (
        "a.mp3",
        MP3,
        {"type": "input_audio", "input_audio": {"data": encoded(MP3), "format": "mp3"}},
    ),
    "a video": (
        "a.mp4",
        MP4,
        {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{encoded(MP4)}"}},
    ),
    "a text": (
        "a.txt",
        "Grüße\n".encode(),
        {"type": "text", "text": '<file name="a.txt">\nGrüße\n\n</file>'},
    ),
    "a text with a byte order mark": (
        "a.csv",
        "a;b".encode("utf-16"),
        {"type": "text", "text": '<file name="a.csv">\na;b\n</file>'},
    ),
    "a text that begins as a bitmap does": (
        "a.md",
        b"BMW",
        {"type": "text", "text": '<file name="a.md">\nBMW\n</file>'},
    ),
}


@pytest.mark.parametrize("case", PARTS)
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_file_is_sent_as_the_part_of_its_type(sunra, sunra_sandbox, tmp_path, case, more):
    name, data, part = PARTS[case]
    (tmp_path / name).write_bytes(data)
    ended = sunra(*CHAT, *more, "-f", str(tmp_path / name), "What is it?")
    assert ended.status == 0, ended.err
    assert content_of(sunra_sandbox.requests[0]) == [{"type": "text", "text": "What is it?"}, part]


def test_several_files_keep_their_order_and_piped_input_is_appended_to_the_prompt(
    sunra, sunra_sandbox, tmp_path
):
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).write_text(name)
    files = ("--file", str(tmp_path / "b.txt"), "-f", str(tmp_path / "a.txt"))
    assert sunra(*CHAT, *files, "Compare", stdin="with this").status == 0
    prompt, first, second = (part["text"] for part in content_of(sunra_sandbox.requests[0]))
    assert prompt == "Compare\n\nwith this"
    assert "b.txt" in first
    assert "a.txt" in second


def test_responses_gets_images_and_pdfs_and_rejects_audio(sunra, sunra_sandbox, tmp_path):
    for name, data in (("a.png", PNG), ("a.pdf", PDF), ("a.wav", WAV)):
        (tmp_path / name).write_bytes(data)
    responses = (*CHAT, "--api", "responses", "-f")
    files = (str(tmp_path / "a.png"), "-f", str(tmp_path / "a.pdf"))
    assert sunra(*responses, *files, "Hi").status == 0
    [message] = sunra_sandbox.requests[0].json["input"]
    kinds = [part["type"] for part in message["content"]]
    assert kinds == ["input_text", "input_image", "input_file"]
    ended = sunra(*responses, str(tmp_path / "a.wav"), "Hi")
    assert (ended.status, ended.out) == (1, "")
    assert "is audio, which api='responses' does not accept" in ended.err
    assert ended.err.endswith("On the command line, use --api chat.\n")


def test_a_file_without_a_prompt_goes_with_the_first_message_of_a_chat(
    sunra, sunra_sandbox, tmp_path
):
    (tmp_path / "a.png").write_bytes(PNG)
    sunra(*CHAT, "-f", str(tmp_path / "a.png"), stdin=Typed("What is it?\nAnd now?\n"))
    first, second = (content_of(request) for request in sunra_sandbox.requests)
    assert [part["type"] for part in first] == ["text", "image_url"]
    assert second == "And now?"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty."),
        (b"PK\x03\x04\x00\x00", "is not UTF-8 text, an image, a PDF, audio or video."),
        ("Grüße".encode("latin-1"), "is not UTF-8 text"),
        (b"text\x00", "is not UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_sent_is_a_usage_error(sunra, sunra_sandbox, tmp_path, data, message):
    (tmp_path / "it").write_bytes(data)
    ended = sunra(*CHAT, "-f", str(tmp_path / "it"), "Hi")
    assert (ended.status, ended.out) == (2, "")
    assert message in ended.err
    assert sunra_sandbox.requests == []


def test_a_folder_and_a_missing_file_are_usage_errors(sunra, tmp_path):
    for path, message in ((tmp_path, "is a directory"), (tmp_path / "gone", "does not exist")):
        ended = sunra(*CHAT, "-f", str(path), "Hi")
        assert ended.status == 2
        assert message in ended.err


@platforms.modes
def test_a_file_that_may_not_be_read_is_a_usage_error(sunra, tmp_path):
    path = tmp_path / "secret"
    path.write_text("hush")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    ended = sunra(*CHAT, "-f", str(path), "Hi")
    assert ended.status == 2
    assert "not readable" in ended.err


def test_a_piped_file_that_is_not_text_recommends_the_option(sunra, start, sunra_sandbox):
    process = start(*CHAT, "Hi", stdin=-1, env={"LC_ALL": "C.UTF-8"})
    _, err = process.communicate(b"a\x00b", timeout=60)
    assert process.returncode == 2
    assert b"Use --file to attach a file that is not text." in err
    assert json.dumps([request.json for request in sunra_sandbox.requests]) == "[]"
