"""A headless Chromium of the system that knows no network, and what it complained about."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str | None:
    """The browser's program; None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@dataclass
class Visit:
    """An opened page, and everything that it should not have done.

    Attributes:
        page: The page, as playwright has it.
        complaints: Errors and warnings of the console, and exceptions.
        requests: What was asked for beyond the page itself.
    """

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def browser() -> Iterator[Any]:
    """A browser with a fresh profile of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as program:
        opened = program.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        try:
            yield opened
        finally:
            opened.close()


@contextmanager
def visit(opened: Any, file: Path, width: int = 1280, scheme: str = "light") -> Iterator[Visit]:
    """A page from a file, ready to be used, without any network."""
    context = opened.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True, reduced_motion="reduce"
    )
    page = context.new_page()
    made = Visit(page)
    page.on("console", lambda told: made.complaints.append(told.text) if told.type in _BAD else None)
    page.on("pageerror", lambda error: made.complaints.append(str(error)))
    page.on("requestfailed", lambda request: made.complaints.append(f"failed: {request.url}"))
    page.on("request", lambda request: made.requests.append(request.url))
    try:
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready=true]", state="attached", timeout=120_000)
        made.requests = [
            url for url in made.requests if url != file.as_uri() and not url.startswith(("blob:", "data:"))
        ]
        yield made
    finally:
        context.close()


_BAD = ("error", "warning")
