"""The browser of this system, headless, for tests and screenshots. None is ever downloaded."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from playwright.sync_api import BrowserContext, Page, Request, Response, sync_playwright

_CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_TIMEOUT = 120_000
"""Milliseconds after which a step that waits has failed."""


@contextmanager
def browser() -> Iterator[BrowserContext]:
    """Chromium with an empty profile of its own.

    Raises:
        RuntimeError: Chromium is not installed.
    """
    if _CHROMIUM is None:
        raise RuntimeError("Chromium is not installed. `make browser` installs it.")
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as engine:
        context = engine.chromium.launch_persistent_context(
            profile, executable_path=_CHROMIUM, args=_FLAGS, headless=True
        )
        context.set_default_timeout(_TIMEOUT)
        yield context
        context.close()


def complaints(page: Page, address: str) -> list[str]:
    """Fills with what goes wrong on a page: errors, failed requests, requests to other hosts."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda line: line.type == "error" and found.append(line.text))

    def check_status(response: Response) -> None:
        if response.status >= HTTPStatus.BAD_REQUEST:  # 304 is a file that the browser has
            found.append(f"{response.url} has status {response.status}")

    def check_host(request: Request) -> None:
        if not request.url.startswith((address, "data:")):
            found.append(f"{request.url} is not on {address}")

    def check_failure(request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # by the page itself, or because it was left
            found.append(f"{request.url} failed: {request.failure}")

    page.on("response", check_status)
    page.on("request", check_host)
    page.on("requestfailed", check_failure)
    return found


def too_wide(page: Page) -> list[str]:
    """The elements that make a page scroll sideways."""
    return page.evaluate(_TOO_WIDE)


_TOO_WIDE = """() => {
    const {clientWidth, scrollWidth} = document.documentElement;
    const scrolls = one => one && one !== document.body &&
        (getComputedStyle(one).overflowX !== "visible" || scrolls(one.parentElement));
    const wide = [...document.body.querySelectorAll("*")].filter(one =>
        one.checkVisibility() && one.getBoundingClientRect().right > clientWidth + 1 &&
        !scrolls(one.parentElement));
    return wide.map(one => `too wide: ${one.outerHTML.slice(0, 120)}`)
        .concat(scrollWidth > clientWidth ? [`scrolls to ${scrollWidth} pixels`] : []);
}"""
