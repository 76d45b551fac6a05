"""Input and output that is not UTF-8, such as a pipe on Windows or the C locale."""

from __future__ import annotations

import codecs
import io
import json
import subprocess

import pytest

from sunra_integrations.cli import main
from tests.cli.conftest import KEY, Typed

ASK = ("chat", "-q", "-m", "sandbox/echo")
MIXED = "café → 日 😀 “…”"
NOTE = "Some characters were replaced by `?` because this output is not UTF-8."
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def ended(process, piped=None):
    out, err = process.communicate(piped, timeout=60)
    return process.returncode, out.replace(b"\r\n", b"\n"), err.decode("ascii")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "utf-16", "latin-1"])
def test_json_is_ascii_if_the_output_is_not_utf_8(start, sunra_sandbox, encoding):
    sunra_sandbox.next(MIXED)
    env = {"PYTHONIOENCODING": encoding}
    status, out, err = ended(start(*ASK, "--json", "Hi", env=env))
    text = out.decode(encoding)
    assert (status, err) == (0, "")
    assert text.isascii()
    assert json.loads(text)["choices"][0]["message"]["content"] == MIXED


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", "caf? -> ? ? ?...?"),
        ("cp1252", "café -> ? ? “…”"),
        ("cp437", "café -> ? ? ?...?"),
        ("latin-1", "café -> ? ? ?...?"),
        ("ascii:surrogateescape", "caf? -> ? ? ?...?"),
    ],
)
def test_characters_that_the_encoding_lacks_are_replaced_and_noted_once(
    start, sunra_sandbox, encoding, shown
):
    sunra_sandbox.next(MIXED)
    status, out, err = ended(start(*ASK, "Hi", env={"PYTHONIOENCODING": encoding}))
    assert (status, out.decode(encoding.partition(":")[0])) == (0, f"{shown}\n")
    assert err.count(NOTE) == 1


@pytest.mark.parametrize(
    ("handler", "shown"),
    [("backslashreplace", b"caf\\xe9 \\u65e5\n"), ("xmlcharrefreplace", b"caf&#233; &#26085;\n")],
)
def test_the_users_encoding_error_handler_is_kept(start, sunra_sandbox, handler, shown):
    sunra_sandbox.next("café 日")
    finished = ended(start(*ASK, "Hi", env={"PYTHONIOENCODING": f"ascii:{handler}"}))
    assert finished == (0, shown, "")


def test_nothing_is_replaced_in_utf_8(start, sunra_sandbox):
    sunra_sandbox.next(MIXED)
    status, out, err = ended(start(*ASK, "Hi", env={"PYTHONIOENCODING": "utf-8"}))
    assert (status, out.decode(), err) == (0, f"{MIXED}\n", "")


def test_ornaments_of_a_report_become_ascii_without_a_note(start):
    env = {"PYTHONIOENCODING": "ascii", "SUNRA_KEY": f"'{KEY}'"}
    status, out, err = ended(start("doctor", env=env))
    assert status == 0
    assert b"-> Set SUNRA_KEY without the quotation marks." in out
    assert NOTE not in err


def test_a_chat_notes_replaced_characters_once(environment, sunra_sandbox, capfd):
    sunra_sandbox.next("日", "本")
    out = io.TextIOWrapper(io.BytesIO(), "ascii", newline="\n")
    environment.setattr("sys.stdout", out)
    environment.setattr("sys.stdin", Typed("one\ntwo\n"))
    assert main(["chat", "-q", "-m", "sandbox/echo"]) == 0
    assert out.buffer.getvalue() == b"?\n?\n"
    err = capfd.readouterr().err
    assert err.count(NOTE) == 1
    assert err.index(NOTE) < err.rindex("> ")  # after the first reply, not at the end


@pytest.mark.parametrize(
    ("piped", "env", "asked", "message"),
    [
        ("café\r\n日".encode(), {"PYTHONIOENCODING": "cp1252"}, "café\n日", ""),
        ("café".encode("utf-8-sig"), {"PYTHONIOENCODING": "cp1252"}, "café", ""),
        ("café\r\n日".encode("utf-16"), {"PYTHONIOENCODING": "cp1252"}, "café\n日", ""),
        (
            "café".encode("cp1252"),
            {"PYTHONIOENCODING": "cp1252"},
            "café",
            "Input is not UTF-8; it was read as cp1252.\n",
        ),
        ("café".encode(), C_LOCALE, "café", ""),
        ("café".encode(), {"PYTHONIOENCODING": "utf-8-sig"}, "café", ""),
    ],
    ids=["UTF-8", "with a mark", "UTF-16", "the locale's", "in the C locale", "the locale's mark"],
)
def test_the_encoding_of_piped_input_is_detected(
    start, sunra_sandbox, *, piped, env, asked, message
):
    sunra_sandbox.next("Fine.")
    status, out, err = ended(start(*ASK, env=env, stdin=subprocess.PIPE), piped)
    assert (status, out.removeprefix(codecs.BOM_UTF8), err) == (0, b"Fine.\n", message)
    assert sunra_sandbox.requests[0].json["messages"][-1]["content"] == asked


@pytest.mark.parametrize(
    ("piped", "env"),
    [
        ("café".encode("latin-1"), {"PYTHONIOENCODING": "utf-8"}),
        ("café".encode("latin-1"), C_LOCALE),
        (b"\x89PNG\r\n\x1a\n\x81\x8d", {"PYTHONIOENCODING": "cp1252"}),
        (b"\x89PNG\r\n\x1a\n\x00\x00", {"PYTHONIOENCODING": "latin-1"}),
        ("UTF-16 without a mark".encode("utf-16-le"), {"PYTHONIOENCODING": "utf-8"}),
        ("UTF-32".encode("utf-32"), {"PYTHONIOENCODING": "utf-8"}),
    ],
)
def test_input_in_an_unknown_encoding_is_not_sent(start, sunra_sandbox, piped, env):
    status, out, err = ended(start(*ASK, env=env, stdin=subprocess.PIPE), piped)
    assert (status, out) == (2, b"")
    assert "Input is not valid" in err
    assert sunra_sandbox.requests == []


def test_a_prompt_that_the_locale_cannot_decode_is_read_as_utf_8(start, sunra_sandbox):
    sunra_sandbox.next("Fine.")
    status, out, _ = ended(start(*ASK, "café 日", env=C_LOCALE))
    assert (status, out) == (0, b"Fine.\n")
    assert sunra_sandbox.requests[0].json["messages"][-1]["content"] == "café 日"


class Undecodable(Typed):
    """A terminal whose first line is not in its encoding."""

    was_read = False

    def readline(self, *size):
        if not self.was_read:
            self.was_read = True
            raise UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "invalid start byte")
        return super().readline(*size)


def test_a_line_that_cannot_be_decoded_does_not_end_the_chat(sunra, sunra_sandbox):
    sunra_sandbox.next("Fine.")
    ended = sunra("chat", "-q", "-m", "sandbox/echo", stdin=Undecodable("Hi\n"))
    assert (ended.status, ended.out) == (0, "Fine.\n")
    assert "Error: Line is not valid utf-8 text: invalid start byte.\n" in ended.err
