"""The page that a shopper opens from a link, in a real browser: what happens now, live, and a way to write back."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from playwright.async_api import Browser, Page, async_playwright

from fenliu.contracts.vocabulary import skills
from tests.conftest import CI
from tests.stack import Stack, eventually, staff, token

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.chromium]

QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
LIVE_MS = 15_000
"""From an agent's answer to the page that nobody reloaded; a second on an idle machine."""

LEAST_CONTRAST = 4.5
"""WCAG 2.2 AA for text of ordinary size."""


def chromium() -> str:
    """Path of the browser: FENLIU_TEST_CHROMIUM, else the system's. Missing is a failure with CI=true, else a skip."""
    found = os.environ.get("FENLIU_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        words = (
            "No Chromium was found. Install it (Debian: apt-get install chromium) or name it in FENLIU_TEST_CHROMIUM."
        )
        if CI:
            pytest.fail(f"CI=true and a real part is missing. {words}", pytrace=False)
        pytest.skip(words)
    return found


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium(), args=QUIET)
        yield started
        await started.close()


class Shop:
    """A tenant of its own with a ticket; acts for the shopper's shop and for the agent."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.tenant = f"page-{uuid4().hex[:8]}"
        self.agent = ""
        self.ticket_id = ""
        self.link = ""

    async def open_ticket(self) -> None:
        made = await self.call("intake", "POST", "/v1/tickets", {"text": "我的包裹在哪里", "customer_id": "c-1"})
        self.ticket_id, self.link = made["ticket_id"], made["status_url"]

    async def hire(self) -> None:
        self.agent = (await staff(self.stack, self.tenant, 1, 5, skills()))[0]

        async def owned() -> Any:
            work = await self.call("router", "GET", f"/v1/agents/{self.agent}/assignments")
            return next((item for item in work["items"] if item["ticket_id"] == self.ticket_id), None)

        self.work = await eventually(owned, 40, "the agent owns the ticket")

    async def answer(self, text: str) -> None:
        await self.call("intake", "POST", f"/v1/tickets/{self.ticket_id}/messages", {"text": text}, role="agent")

    async def messages(self) -> list[tuple[str, str]]:
        found = await self.call("intake", "GET", f"/v1/tickets/{self.ticket_id}/messages")
        return [(item["author_role"], item["text"]) for item in found["items"]]

    async def call(self, service: str, method: str, path: str, body: Any = None, role: str = "admin") -> Any:
        headers = {"Authorization": f"Bearer {token(self.tenant, role, subject=self.agent or 'tester')}"}
        async with httpx2.AsyncClient(base_url=self.stack.url(service), headers=headers, timeout=20) as client:
            answer = await client.request(method, path, json=body)
            assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
            return answer.json()


@pytest.fixture
async def shop(stack: Stack) -> Shop:
    made = Shop(stack)
    await made.open_ticket()
    return made


async def opened(browser: Browser, link: str, **options: Any) -> tuple[Page, list[str]]:
    """The page, and a list that collects what the browser complains about."""
    context = await browser.new_context(**{"locale": "en-GB", **options})
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    answer = await page.goto(link, wait_until="domcontentloaded")
    assert answer is not None
    assert answer.status == 200
    return page, complaints


async def test_link_opened_at_once_says_received_and_an_answer_appears_by_itself(shop: Shop, browser: Browser) -> None:
    page, complaints = await opened(browser, shop.link)
    assert await page.get_by_role("heading", level=1).inner_text() in {
        "We have your request", "You are in line for a colleague",
    }  # fmt: skip
    await page.get_by_text("Request received").wait_for(timeout=LIVE_MS)
    await page.evaluate("window.sameDocument = true")
    await page.get_by_text("This page updates by itself.").wait_for(timeout=LIVE_MS)

    await shop.hire()
    await page.get_by_role("heading", level=1, name="A colleague has your request").wait_for(timeout=LIVE_MS)
    await shop.answer("It left Shanghai <b>this morning</b>.")
    await page.get_by_text("It left Shanghai <b>this morning</b>.").wait_for(timeout=LIVE_MS)
    assert await page.evaluate("window.sameDocument"), "the page was loaded anew"

    draft = page.get_by_role("textbox", name="Write to us")
    await draft.fill("One more thing")
    await shop.call("intake", "POST", f"/v1/tickets/{shop.ticket_id}/cancel", {})
    await page.get_by_text("This request is closed").wait_for(timeout=LIVE_MS)
    assert await draft.input_value() == "One more thing", "what was being typed is gone"
    assert await page.get_by_role("button", name="Send").is_disabled()
    assert complaints == []


@pytest.mark.parametrize("scripts", [True, False], ids=["with_scripts", "without_scripts"])
async def test_shopper_writes_back_through_the_form(shop: Shop, browser: Browser, scripts: bool) -> None:
    page, complaints = await opened(browser, shop.link, java_script_enabled=scripts)
    draft, send = page.get_by_role("textbox", name="Write to us"), page.get_by_role("button", name="Send")
    await draft.fill("Please hurry.\n谢谢 🙏")
    if scripts:
        await page.context.set_offline(True)
        await send.click()
        await page.get_by_text("This was not sent.").wait_for(timeout=LIVE_MS)
        assert await draft.input_value() == "Please hurry.\n谢谢 🙏", "a failed send lost the text"
        await page.context.set_offline(False)
        complaints.clear()
    async with page.expect_response(lambda answer: answer.request.method == "POST") as posted:
        await send.click()
    assert (await posted.value).status == (202 if scripts else 303)
    if scripts:
        await page.get_by_text("Sent. Thank you.").wait_for(timeout=LIVE_MS)
        assert await draft.input_value() == ""
    await page.wait_for_url(f"**{shop.link.partition('/s/')[2]}")
    assert await shop.messages() == [("customer", "我的包裹在哪里"), ("customer", "Please hurry.\n谢谢 🙏")]
    if scripts:
        await page.get_by_text("Please hurry.").wait_for(timeout=LIVE_MS)
    else:

        async def shown() -> bool:
            await page.reload()
            return await page.get_by_text("Please hurry.").count() == 1

        await eventually(shown, 20, "the message stands on the page")
    assert complaints == []


async def test_shopper_cancels_after_one_question_and_no_scripts(shop: Shop, browser: Browser) -> None:
    page, _ = await opened(browser, shop.link, java_script_enabled=False)
    sure = page.get_by_role("button", name="Yes, cancel it")
    assert not await sure.is_visible()
    await page.get_by_text("Cancel it", exact=True).click()
    async with page.expect_response(lambda answer: answer.request.method == "POST") as posted:
        await sure.click()
    assert (await posted.value).status == 303
    asked = "SELECT cancel_requested_at FROM tickets WHERE ticket_id = :id"
    rows = await shop.stack.query("intake", asked, id=shop.ticket_id)
    assert rows[0][0] is not None


async def test_shopper_reads_the_answer_first_and_rates_without_scripts(shop: Shop, browser: Browser) -> None:
    await shop.answer("明天上午送到。")
    await shop.call("intake", "POST", f"/v1/tickets/{shop.ticket_id}/confirm", {})
    small = {"width": 320, "height": 640}
    page, _ = await opened(browser, f"{shop.link}?lang=zh", java_script_enabled=False, viewport=small)
    score = page.get_by_role("button", name="4", exact=True)

    async def solved() -> bool:
        await page.reload()
        return await score.is_visible() and await page.get_by_text("明天上午送到。").is_visible()

    await eventually(solved, 20, "the page can be rated")
    answered = await page.get_by_text("明天上午送到。").bounding_box()
    assert answered is not None
    assert answered["y"] + answered["height"] < small["height"], "the answer is not on the first screen"
    await inspect(page)
    async with page.expect_response(lambda answer: answer.request.method == "POST") as posted:
        await score.click()
    assert (await posted.value).status == 303
    rows = await shop.stack.query("intake", "SELECT score FROM ratings WHERE ticket_id = :id", id=shop.ticket_id)
    assert [row[0] for row in rows] == [4]


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_page_can_be_read_and_used_by_everybody(shop: Shop, browser: Browser, lang: str, scheme: str) -> None:
    page, complaints = await opened(
        browser, f"{shop.link}?lang={lang}", color_scheme=scheme, viewport={"width": 320, "height": 640}
    )
    assert await page.evaluate("document.documentElement.lang") == ("zh-CN" if lang == "zh" else "en")
    await inspect(page)
    assert complaints == []


async def inspect(page: Page) -> None:
    """Fail where somebody could not read or use what the page shows now, with what can be opened open."""
    await page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    found = await page.evaluate(INSPECTION)
    assert found["title"]
    assert found["headings"] == 1, "one heading of the first level"
    assert found["landmarks"] == ["MAIN"]
    assert found["unlabelled"] == [], "fields and buttons without a name"
    assert found["twice"] == [], "ids given twice"
    assert found["small"] == [], "targets of less than 24 pixels"
    assert found["width"] <= 320, "the page is wider than a small telephone"
    assert len(found["texts"]) >= 10
    for text, ink, paper in found["texts"]:
        assert contrast(ink, paper) >= LEAST_CONTRAST, f"{text!r}: {ink} on {paper}"


INSPECTION = """() => {
  const visible = (e) => { const b = e.getBoundingClientRect(); return b.width > 0 && b.right > 0; };
  const rgb = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
  const paper = (e) => {
    for (let at = e; at; at = at.parentElement) {
      const c = rgb(getComputedStyle(at).backgroundColor);
      if (c.length === 3 || (c.length === 4 && c[3] === 1)) return c.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const named = (e) => e.getAttribute("aria-label") || e.innerText || (e.labels && e.labels.length);
  const controls = [...document.querySelectorAll("input:not([type=hidden]), textarea, button, select, summary, a")];
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  const texts = [...document.querySelectorAll("h1, h2, p, a, button, summary, time, dt, dd, label, textarea")]
    .filter((e) => visible(e) && (e.innerText || e.value || e.tagName === "TEXTAREA"))
    .map((e) => [(e.innerText || e.tagName).slice(0, 40), rgb(getComputedStyle(e).color).slice(0, 3), paper(e)]);
  return {
    title: document.title,
    headings: document.querySelectorAll("h1").length,
    landmarks: [...document.querySelectorAll("main")].map((e) => e.tagName),
    unlabelled: controls.filter((e) => !named(e)).map((e) => e.outerHTML),
    twice: ids.filter((id, at) => ids.indexOf(id) !== at),
    small: controls.filter((e) => visible(e) && e.getBoundingClientRect().height < 24).map((e) => e.outerHTML),
    width: document.documentElement.scrollWidth,
    texts,
  };
}"""


def contrast(ink: list[float], paper: list[float]) -> float:
    """Contrast ratio of two colours (0 to 255 each), 1 to 21, as WCAG defines it."""

    def luminance(colour: list[float]) -> float:
        parts = [value / 255 for value in colour]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(ink), luminance(paper)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)
