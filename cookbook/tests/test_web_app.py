"""The web app in a real, headless browser: `make browser`."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sunra_integrations.sandbox import Http, Sandbox

playwright = pytest.importorskip("playwright.sync_api", reason="make browser installs it")
expect = playwright.expect

PATIENCE = 120
"""Seconds after which a test that waits has failed."""
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NOTE_WHAT_IS_SHOWN = """
    window.shown = [];
    const answer = document.getElementById("answer");
    const note = () => shown.push(answer.textContent);
    new MutationObserver(note).observe(answer, { childList: true, characterData: true });
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[playwright.BrowserContext]:
    """The browser of this system, with a profile of its own; none is ever downloaded."""
    if CHROMIUM is None:
        pytest.fail("there is no chromium: `make browser` installs it")
    profile: Path = tmp_path_factory.mktemp("profile")
    with playwright.sync_playwright() as engine:
        context = engine.chromium.launch_persistent_context(
            str(profile), executable_path=CHROMIUM, args=list(FLAGS), headless=True
        )
        context.set_default_timeout(PATIENCE * 1000)
        yield context
        context.close()


@pytest.fixture
def page(browser: playwright.BrowserContext, web_app: str) -> Iterator[playwright.Page]:
    page = browser.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(web_app)
    yield page
    page.close()
    assert not complaints


def ask(page: playwright.Page, text: str) -> None:
    page.get_by_label("Question").fill(text)
    page.get_by_role("button", name="Ask").click()


def test_the_answer_grows_piece_by_piece(page, sunra_sandbox: Sandbox):
    sunra_sandbox.next("One, two, three, four, five.", pause=0.05)
    page.evaluate(NOTE_WHAT_IS_SHOWN)
    ask(page, "Count to five.")
    expect(page.locator("#answer")).to_have_text("One, two, three, four, five.")
    shown = list(dict.fromkeys(page.evaluate("shown")))
    assert len(shown) > 4
    assert all(after.startswith(before) for before, after in itertools.pairwise(shown))
    assert sunra_sandbox.requests[-1].json["messages"][-1]["content"] == "Count to five."


def test_when_the_answer_is_whole_another_question_can_be_asked(page, sunra_sandbox: Sandbox):
    sunra_sandbox.next("First.", "Second.")
    ask(page, "One?")
    expect(page.get_by_role("status")).to_contain_text("tokens")
    ask(page, "Two?")
    expect(page.locator("#answer")).to_have_text("Second.")


def test_stop_ends_the_call_and_keeps_what_had_come(page, sunra_sandbox: Sandbox):
    sunra_sandbox.next("word " * 5_000, pause=0.02)
    ask(page, "Talk!")
    expect(page.locator("#answer")).to_contain_text("word word")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("status")).to_have_text("Stopped.")
    assert sunra_sandbox.requests[-1].disconnected.wait(PATIENCE)
    expect(page.locator("#answer")).to_contain_text("word word")
    expect(page.get_by_role("button", name="Ask")).to_be_enabled()


def test_a_closed_page_ends_the_call(browser, web_app: str, sunra_sandbox: Sandbox):
    sunra_sandbox.next("word " * 5_000, pause=0.02)
    page = browser.new_page()
    page.goto(web_app)
    ask(page, "Talk!")
    expect(page.locator("#answer")).to_contain_text("word word")
    page.close()
    assert sunra_sandbox.requests[-1].disconnected.wait(PATIENCE)


def test_an_error_is_shown_in_plain_words(page, sunra_sandbox: Sandbox):
    sunra_sandbox.next(Http(429, {}, {"retry-after": "7", "x-request-id": "req-1"}))
    ask(page, "Hello?")
    status = page.get_by_role("status")
    expect(status).to_have_text(
        "Too many questions just now. Try again in 7 seconds. (Reference: req-1)"
    )
    expect(status).to_have_class("error")
    expect(page.get_by_role("button", name="Ask")).to_be_enabled()


def test_an_answer_that_breaks_off_stays_and_is_said_to_be_broken(page, sunra_sandbox: Sandbox):
    sunra_sandbox.next("word " * 50, cut_after=4_000)
    ask(page, "Talk!")
    expect(page.get_by_role("status")).to_contain_text("The answer broke off here.")
    expect(page.locator("#answer")).to_contain_text("word")


def test_markup_in_an_answer_is_shown_and_not_run(page, sunra_sandbox: Sandbox):
    markup = '<img src="x" onerror="document.title = 1"> **é 🙂**'
    sunra_sandbox.next(markup)
    ask(page, "Markup?")
    expect(page.locator("#answer")).to_have_text(markup)
    assert page.locator("#answer img").count() == 0
    assert page.title() == "Ask"
