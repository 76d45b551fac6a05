"""The web app in a real, headless browser, on a phone and on a desktop: `make browser`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from sunra_integrations.sandbox import HangUp, Http, Sandbox, TextReply, sse

playwright = pytest.importorskip("playwright.sync_api", reason="make browser installs it")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="make browser installs it"
)
chromium = pytest.importorskip("scripts.browser")
expect = playwright.expect

PATIENCE = 120
"""Seconds after which a test that waits has failed."""
WIDTHS = {"phone": 320, "desktop": 1280}
NOTE_WHAT_IS_SHOWN = """
    window.shown = [];
    const answer = document.getElementById("conversation");
    const note = () => shown.push(answer.querySelector(".answer")?.textContent.trim() ?? "");
    new MutationObserver(note).observe(answer, { childList: true, subtree: true });
"""
MARKDOWN = """\
# Tides

There are **two** a day:

1. one on the side of the *moon*,
2. and one on the other.

| place | high water | low water | range of the spring tide | range of the neap tide |
|---|---|---|---|---|
| Husum | 14:10 | 20:31 | 3.9 m above the chart datum | 3.0 m above the chart datum |

```python
height = [amplitude * cos(speed * hour + phase) for amplitude, speed, phase in constituents]
```

See https://example.org/an-address-without-any-place-where-a-line-could-be-broken-into-two-lines
"""
MARKUP = """\
<img src="x" onerror="document.title = 1"> <script>document.title = 2</script>

<iframe src="/"></iframe>

[a link](javascript:document.title=3) ![a picture](https://example.org/?words-of-the-conversation)
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.BrowserContext]:
    expect.set_options(timeout=PATIENCE * 1000)
    with chromium.browser() as context:
        yield context


@pytest.fixture(params=WIDTHS)
def page(request, browser: playwright.BrowserContext, web_app: str) -> Iterator[playwright.Page]:
    """The page. It never fails, loads nothing from elsewhere and never scrolls sideways."""
    page = browser.new_page()
    page.set_viewport_size({"width": WIDTHS[request.param], "height": 640})
    complaints = chromium.complaints(page, web_app)
    page.goto(web_app)
    yield page
    complaints += chromium.too_wide(page)
    page.close()
    assert not complaints


def ask(page: playwright.Page, text: str) -> None:
    page.get_by_label("Question").fill(text)
    page.get_by_role("button", name="Ask").click()


def answer(page: playwright.Page) -> playwright.Locator:
    return page.locator(".answer").last


def note(page: playwright.Page) -> playwright.Locator:
    return page.locator(".note").last


def messages(sandbox: Sandbox) -> list[tuple[str, str]]:
    sent = sandbox.requests[-1].json["messages"]
    return [(message["role"], message["content"]) for message in sent]


# ── answers ──────────────────────────────────────────────────────────────────


def test_the_answer_grows_piece_by_piece(page, sunra_sandbox: Sandbox):
    sunra_sandbox.next("One, two, three, four, five.", pause=0.05)
    page.evaluate(NOTE_WHAT_IS_SHOWN)
    ask(page, "Count to five.")
    expect(answer(page)).to_have_text("One, two, three, four, five.")
    shown = list(dict.fromkeys(page.evaluate("shown")))
    assert len(shown) > 4
    assert all(after.startswith(before) for before, after in itertools.pairwise(shown))
    assert messages(sunra_sandbox) == [("user", "Count to five.")]


def test_markdown_is_rendered(page, sunra_sandbox: Sandbox):
    sunra_sandbox.next(MARKDOWN)
    ask(page, "Tides?")
    expect(note(page)).to_contain_text("tokens")
    for selector, text in {
        "h1": "Tides",
        "strong": "two",
        "ol > li > em": "moon",
        "td >> nth=0": "Husum",
        "pre > code": "height = [",
    }.items():
        expect(answer(page).locator(selector)).to_contain_text(text)


def test_what_is_finished_is_not_drawn_again(page, sunra_sandbox: Sandbox):
    sunra_sandbox.next("First.\n\nSecond.\n\n" + "word " * 5_000, pause=0.02)
    ask(page, "Talk!")
    first = answer(page).locator("p", has_text="First.")
    expect(answer(page)).to_contain_text("word word")
    first.evaluate("block => block.dataset.seen = 'yes'")
    written = answer(page).inner_text()
    page.wait_for_function(
        "length => document.querySelector('.answer').innerText.length > length + 50",
        arg=len(written),
    )
    page.keyboard.press("Escape")
    expect(note(page)).to_have_text("Stopped.")
    assert first.get_attribute("data-seen") == "yes"


def test_markup_in_an_answer_is_shown_and_not_run(page, sunra_sandbox: Sandbox):
    sunra_sandbox.next(MARKUP)
    ask(page, '<b onclick="document.title = 4">Markup?</b>')
    expect(note(page)).to_contain_text("tokens")
    expect(answer(page)).to_contain_text('<img src="x" onerror="document.title = 1"> <script>')
    expect(answer(page)).to_contain_text("[a link](javascript:document.title=3)")
    assert page.locator("article").locator("img, script, iframe, b, [onerror]").count() == 0
    assert page.title() == "Ask"


def test_markup_that_becomes_html_in_spite_of_it_all_is_blocked_by_the_policy(browser, web_app):
    page = browser.new_page()
    page.goto(web_app)
    blocked = page.evaluate(
        """html => new Promise(resolve => {
        document.addEventListener("securitypolicyviolation", event => resolve(event.blockedURI));
        document.querySelector("main").innerHTML = html;
    })""",
        '<img src="data:," onerror="document.title = 1">',
    )
    assert blocked == "inline"
    assert page.title() == "Ask"
    page.close()


def test_an_answer_says_that_it_comes_from_the_sandbox(page, sunra_sandbox: Sandbox):
    badge = page.locator(".sandbox").last
    ask(page, "Who is there?")
    expect(badge).to_be_visible()
    expect(badge).to_contain_text("This reply is rule-based, not from a model. Set SUNRA_KEY")
    sunra_sandbox.next(
        sse(
            b'data: {"choices": [{"delta": {"content": "A model."}, "finish_reason": "stop"}]}\n\n'
            b"data: [DONE]\n\n"
        )
    )
    ask(page, "And now?")
    expect(answer(page)).to_have_text("A model.")
    expect(badge).to_be_hidden()


def test_an_answer_that_reached_the_length_limit_says_so(page, sunra_sandbox: Sandbox):
    sunra_sandbox.next(TextReply("Once upon a", finish_reason="length"))
    ask(page, "Tell me a story.")
    expect(note(page)).to_contain_text("reached the length limit and is incomplete")
    expect(answer(page)).to_have_text("Once upon a")


# ── the conversation ─────────────────────────────────────────────────────────


def test_the_second_question_is_sent_with_the_first_and_its_answer(page, sunra_sandbox: Sandbox):
    sunra_sandbox.next("**Husum** has two.", "At 14:10.")
    ask(page, "How many tides?")
    expect(note(page)).to_contain_text("tokens")
    ask(page, "When is the first?")
    expect(answer(page)).to_have_text("At 14:10.")
    assert messages(sunra_sandbox) == [
        ("user", "How many tides?"),
        ("assistant", "**Husum** has two."),
        ("user", "When is the first?"),
    ]


def test_a_reload_keeps_the_conversation(page, sunra_sandbox: Sandbox):
    sunra_sandbox.next("**First.**", "Second.")
    ask(page, "One?")
    expect(note(page)).to_contain_text("tokens")
    page.reload()
    expect(answer(page).locator("strong")).to_have_text("First.")
    expect(page.locator(".question")).to_have_text("One?")
    expect(page.locator(".sandbox")).to_be_visible()
    ask(page, "Two?")
    expect(answer(page)).to_have_text("Second.")
    assert messages(sunra_sandbox)[:2] == [("user", "One?"), ("assistant", "**First.**")]


def test_a_reload_during_an_answer_keeps_its_beginning_and_says_so(page, sunra_sandbox: Sandbox):
    sunra_sandbox.next("word " * 5_000, pause=0.02)
    ask(page, "Talk!")
    expect(answer(page)).to_contain_text("word word")
    page.reload()
    assert sunra_sandbox.requests[-1].disconnected.wait(PATIENCE)
    expect(answer(page)).to_contain_text("word word")
    expect(note(page)).to_contain_text("The connection was lost before the answer was complete.")


@pytest.mark.parametrize("method", ["getItem", "setItem"])
def test_the_page_works_without_storage(browser, web_app, method):
    page = browser.new_page()
    page.add_init_script(
        f"Storage.prototype.{method} = () => {{ throw new DOMException('no', 'SecurityError') }};"
    )
    page.goto(web_app)
    ask(page, "  What are tides?\n")
    expect(page.get_by_role("status")).to_contain_text("You said: What are tides?")
    page.close()


def test_a_blank_question_is_not_sent(page, sunra_sandbox: Sandbox):
    ask(page, " \n ")
    expect(page.locator("article")).to_have_count(0)
    assert not sunra_sandbox.requests


def test_a_new_conversation_forgets_the_old_one(page, sunra_sandbox: Sandbox):
    ask(page, "One?")
    expect(note(page)).to_contain_text("tokens")
    page.get_by_role("button", name="New conversation").click()
    expect(page.get_by_role("article")).to_have_count(0)
    ask(page, "Two?")
    expect(note(page)).to_contain_text("tokens")
    assert messages(sunra_sandbox) == [("user", "Two?")]


# ── errors ───────────────────────────────────────────────────────────────────


def test_a_503_is_reported_as_overload_and_the_question_is_kept(page, sunra_sandbox: Sandbox):
    sunra_sandbox.next(Http(503, {}, {"retry-after": "7", "x-request-id": "req-1"}))
    ask(page, "Hello?")
    expect(note(page)).to_have_text(
        "The model is overloaded. Try again in 7 seconds. (Reference: req-1)"
    )
    expect(note(page)).to_have_class("note failed")
    expect(page.get_by_label("Question")).to_have_value("Hello?")
    sunra_sandbox.next("Hello!")
    page.get_by_role("button", name="Ask").click()
    expect(answer(page)).to_have_text("Hello!")
    assert messages(sunra_sandbox) == [("user", "Hello?")]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Http(503), "The model is overloaded. Try again in a minute."),
        (Http(429, {}, {"retry-after": "9"}), "too many questions at the moment. Try again in 9 s"),
        (Http(401), "This page cannot log in to Sunra. Its operator must set a valid SUNRA_KEY."),
        (Http(402), "This page has no credit left. Its operator must add credit."),
        (HangUp(), "The model cannot be reached. Try again in a minute."),
    ],
)
def test_an_error_is_shown_with_its_fix(page, sunra_sandbox: Sandbox, reply, words):
    sunra_sandbox.next(reply)
    ask(page, "Hello?")
    expect(note(page)).to_contain_text(words)
    expect(page.get_by_role("button", name="Ask")).to_be_enabled()


def test_an_interrupted_answer_says_so_and_its_text_is_kept(page, sunra_sandbox: Sandbox):
    sunra_sandbox.next("word " * 50, cut_after=4_000)
    ask(page, "Talk!")
    expect(note(page)).to_contain_text("The answer was interrupted and is incomplete. Ask again.")
    expect(answer(page)).to_contain_text("word word")
    ask(page, "Go on.")
    expect(note(page)).to_contain_text("tokens")
    [_, (role, partial), _] = messages(sunra_sandbox)
    assert role == "assistant"
    assert "word word".startswith(partial[:9])


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (503, "This page is overloaded. Try again in 5 seconds."),
        (502, "This page failed with status 502. Try again in 5 seconds."),
        (422, "The question or the conversation is too long. Start a new conversation."),
    ],
)
def test_a_proxy_or_the_app_that_refuses_a_question_is_reported(browser, web_app, status, words):
    page = browser.new_page()
    page.goto(web_app)
    page.route("**/ask", lambda ask: ask.fulfill(status=status, headers={"retry-after": "5"}))
    ask(page, "Hello?")
    expect(note(page)).to_have_text(words)
    page.close()


def test_a_lost_connection_to_the_app_is_reported(browser, web_app):
    page = browser.new_page()
    page.goto(web_app)
    page.route("**/ask", lambda ask: ask.abort())
    ask(page, "Hello?")
    expect(note(page)).to_contain_text("The connection was lost before the answer was complete.")
    page.close()


# ── stopping, the keyboard and screen readers ────────────────────────────────


@pytest.mark.parametrize("by", ["button", "key"])
def test_stop_ends_the_call_and_keeps_what_had_come(page, sunra_sandbox: Sandbox, by):
    sunra_sandbox.next("word " * 5_000, pause=0.02)
    ask(page, "Talk!")
    expect(answer(page)).to_contain_text("word word")
    if by == "key":
        page.keyboard.press("Escape")
    else:
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_label("Question")).to_be_focused()
    expect(note(page)).to_have_text("Stopped.")
    assert sunra_sandbox.requests[-1].disconnected.wait(PATIENCE)
    expect(answer(page)).to_contain_text("word word")
    expect(page.get_by_role("button", name="Ask")).to_be_enabled()


def test_a_closed_page_ends_the_call(browser, web_app: str, sunra_sandbox: Sandbox):
    sunra_sandbox.next("word " * 5_000, pause=0.02)
    page = browser.new_page()
    page.goto(web_app)
    ask(page, "Talk!")
    expect(answer(page)).to_contain_text("word word")
    page.close()
    assert sunra_sandbox.requests[-1].disconnected.wait(PATIENCE)


def test_the_page_works_by_keyboard_alone(page, sunra_sandbox: Sandbox):
    expect(page.get_by_label("Question")).to_be_focused()
    page.keyboard.type("One")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("Two?")
    page.keyboard.press("Enter")
    expect(note(page)).to_contain_text("tokens")
    assert messages(sunra_sandbox) == [("user", "One\nTwo?")]
    expect(page.get_by_label("Question")).to_be_focused()


def test_a_screen_reader_gets_the_answer_once_when_it_is_complete(page, sunra_sandbox: Sandbox):
    sunra_sandbox.next("It is **high** water.", pause=0.05)
    status = page.get_by_role("status")
    ask(page, "Now?")
    expect(status).to_have_text("Answering …")
    expect(status).to_contain_text("It is high water.")
    expect(status).to_contain_text("tokens")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_has_no_known_barrier(page, sunra_sandbox: Sandbox, scheme):
    page.emulate_media(color_scheme=scheme)
    sunra_sandbox.next(MARKDOWN, Http(503))
    ask(page, "Tides?")
    expect(note(page)).to_contain_text("tokens")
    ask(page, "More?")
    expect(note(page)).to_contain_text("overloaded")
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
