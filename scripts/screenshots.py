"""Take screenshots of the site and of the cookbook's web app, and check what a browser sees.

``make screenshots`` builds the site and writes them into ``screenshots/``: on a desktop and on a
phone, light and dark. It fails if a page of the site has an error in the console, a failed request
or a request to another host, or if it scrolls sideways on a phone. It also clicks from the home
page to a first agent.

``make screenshots SCREENSHOT_ARGS=--picture`` takes the picture in the notebook about the web app.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from playwright.sync_api import BrowserContext, Page

from cookbook.web_app.app import create_app
from cookbook.web_app.serving import serving
from scripts.browser import browser, complaints, too_wide
from scripts.check_site import FIRST_AGENT, HOME, clicks_to_agent, read
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.sandbox import Http, Sandbox, Scripted

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "cookbook" / "web_app" / "page.png"
PAGES = {
    "home": HOME,
    "quickstart": "quickstart.html",
    "feature": "features/streaming.html",
    "reference": "reference/langchain.html",
    "errors": "reference/errors.html",
    "benchmarks": "benchmarks.html",
    "notebook": "cookbook/first_steps_langchain.html",
}
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
SCHEMES = ("light", "dark")
_LONGEST = 3_000
"""Pixels of a page that a screenshot shows, from its top."""

_TIDES = """\
Twice a day, because the **moon** pulls the water on both sides of the earth:

1. on the near side, where its pull is stronger,
2. and on the far side, where it is weaker.

| place | high water | range |
|---|---|---|
| Husum | 14:10 | 3.9 m |
| Dover | 11:32 | 6.0 m |
"""
_SPRING_TIDES = (
    "Sun, moon and earth are then in one line. The pulls of sun and moon add up, so the water "
    "rises higher and falls lower than usual. A week later they stand at a right angle. The tides "
    "are then neap tides, with the smallest range. Wind can change the height of every tide."
)


def main() -> int:
    """Take the screenshots; the exit status is 1 if there are problems."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--site", type=Path, default=ROOT / "site")
    parser.add_argument("--output", type=Path, default=ROOT / "screenshots")
    parser.add_argument("--picture", action="store_true", help=f"write {PICTURE.name} only")
    options = parser.parse_args()
    with browser() as context:
        if options.picture:
            picture(context)
            return 0
        found = [
            *site_pages(context, options.site, options.output),
            *all_pages(context, options.site),
            *first_agent(context, options.site),
            *web_page(context, options.output),
        ]
    print("\n".join(found) or f"The screenshots are in {options.output}.")
    return bool(found)


def site_pages(context: BrowserContext, folder: Path, output: Path) -> Iterator[str]:
    """Take the screenshots of the site, and yield what is wrong."""
    with served_folder(folder) as address:
        for name, path in PAGES.items():
            if not (folder / path).is_file():
                yield f"{name}: {path} is not in the site"
                continue
            for size, scheme in product(SIZES, SCHEMES):
                page = context.new_page()
                found = complaints(page, address)
                page.emulate_media(color_scheme=scheme)
                page.set_viewport_size(SIZES[size])
                page.goto(f"{address}/{path}", wait_until="networkidle")
                shoot(page, output / f"{name}-{size}-{scheme}.png")
                yield from (f"{path}, {size}, {scheme}: {one}" for one in found + too_wide(page))
                page.close()


def all_pages(context: BrowserContext, folder: Path) -> Iterator[str]:
    """Visit every page of the site on a phone, and yield what is wrong."""
    with served_folder(folder) as address:
        page = context.new_page()
        page.set_viewport_size(SIZES["phone"])
        found = complaints(page, address)
        for path in read(folder):
            page.goto(f"{address}/{path}")
            yield from (f"{path}: {one}" for one in found + too_wide(page))
            found.clear()
        page.close()


def first_agent(context: BrowserContext, folder: Path) -> Iterator[str]:
    """Click the shortest way from the home page to an agent, as a new user would."""
    way = clicks_to_agent(read(folder)) or []
    with served_folder(folder) as address:
        page = context.new_page()
        page.goto(f"{address}/{HOME}")
        for link in way:
            page.locator(f'article a[href="{link}"]').first.click()
            page.wait_for_load_state()
        if FIRST_AGENT not in page.locator("article").inner_text():
            yield f"{page.url} has no {FIRST_AGENT}…), reached by {way}"
        print(f"To the first agent in {len(way)} clicks: {' → '.join([HOME, *way])}")
        page.close()


def web_page(context: BrowserContext, output: Path) -> Iterator[str]:
    """Take the screenshots of the web app, and yield what is wrong."""
    with served_web_app() as (address, sandbox):
        page = context.new_page()
        found = complaints(page, address)
        page.goto(address)
        converse(page, sandbox)
        sandbox.next(Http(503, "The model is overloaded.", {"retry-after": "7"}))
        page.get_by_label("Question").fill("When is the next one?")
        page.get_by_role("button", name="Ask").click()
        page.get_by_text("The model is overloaded.").first.wait_for()
        for size, scheme in product(SIZES, SCHEMES):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size(SIZES[size])
            page.evaluate("scrollTo(0, document.body.scrollHeight)")
            page.screenshot(path=output / f"web_page-{size}-{scheme}.png")
            yield from (f"The web page, {size}, {scheme}: {one}" for one in too_wide(page))
        yield from (f"The web page: {one}" for one in found)
        page.close()


def picture(context: BrowserContext) -> None:
    """Take the picture that the notebook about the web app shows."""
    with served_web_app() as (address, sandbox):
        page = context.new_page()
        page.set_viewport_size({"width": 760, "height": 760})
        page.goto(address)
        converse(page, sandbox)
        page.screenshot(path=PICTURE)
        page.close()


def converse(page: Page, sandbox: Sandbox) -> None:
    """Ask a question, and a second one whose answer is stopped."""
    sandbox.next(_TIDES, Scripted(_SPRING_TIDES, pause=0.1))
    question = page.get_by_label("Question")
    question.fill("Why are there two tides a day?")
    question.press("Enter")
    page.get_by_text("tokens").first.wait_for()
    question.fill("And what is a spring tide?")
    question.press("Enter")
    page.get_by_text("A week later").first.wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped.").first.wait_for()


def shoot(page: Page, file: Path) -> None:
    """Save the top of a page."""
    size = page.viewport_size
    height = min(_LONGEST, page.evaluate("document.documentElement.scrollHeight"))
    page.screenshot(
        path=file, full_page=True, clip={"x": 0, "y": 0, "width": size["width"], "height": height}
    )


@contextmanager
def served_folder(folder: Path) -> Iterator[str]:
    """Serve the site and yield its address."""
    app = FastAPI()
    app.mount("/", StaticFiles(directory=folder, html=True))
    with serving(app) as address:
        yield address


@contextmanager
def served_web_app() -> Iterator[tuple[str, Sandbox]]:
    """Serve the web app with the sandbox, and yield its address."""
    with Sandbox() as sandbox:
        model = ChatSunra(
            model="openai/gpt-4o-mini",
            base_url=sandbox.base_url,
            api_key=sandbox.api_key,
            max_retries=0,
        )
        with serving(create_app(model)) as address:
            yield address, sandbox


if __name__ == "__main__":
    sys.exit(main())
