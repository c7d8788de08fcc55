"""The status page: what it says, to whom, and what it never does."""

import re
from datetime import timedelta

import pytest

from fenliu.contracts.events import AgentChanged, TicketRated
from tests.component.notifier.lab import START, World, message, received, stamp, status
from tests.component.travel import TravelClock

XSS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; DROP TABLE timeline; --",
    "{{ 7*7 }}{% raw %}",
    "</textarea><script>alert(2)</script>",
    "javascript:alert(1)",
    "<svg/onload=alert(1)>",
    "\u202egnp.exe",
]


async def open_page(world: World, link: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    async with world.client() as client:
        answered = await client.get(f"/s/{link}", headers=headers)
    return answered.status_code, answered.text, dict(answered.headers)


async def test_page_opened_before_any_event_says_received(world: World) -> None:
    code, text, _ = await open_page(world, world.link("early"), **{"accept-language": "en"})
    assert code == 200
    assert "<h1>We have your request</h1>" in text
    assert "Request received" in text


@pytest.mark.parametrize(
    ("header", "query", "language", "headline"),
    [
        ("zh-CN,zh;q=0.9", "", "zh-CN", "正在为您安排客服"),
        ("en-GB", "", "en", "You are in line for a colleague"),
        ("en", "?lang=zh", "zh-CN", "正在为您安排客服"),
        ("zh", "?lang=en", "en", "You are in line for a colleague"),
    ],
)
async def test_page_speaks_the_readers_language(
    world: World, header: str, query: str, language: str, headline: str
) -> None:
    await world.handle(received(), status(1, "waiting"))
    code, text, headers = await open_page(world, world.link() + query, **{"accept-language": header})
    assert code == 200
    assert f'<html lang="{language}">' in text
    assert headline in text
    assert headers["content-language"] == language
    assert "lang=en" in text or "lang=zh" in text


async def test_page_shows_answers_order_and_times(world: World) -> None:
    await world.handle(
        AgentChanged(tenant_id="acme", agent_id="a-1", version=1, name="林晓"),
        received(order_id="SO-1", parcel_id="SF-2"),
        status(1, "assigned", agent_id="a-1", agent_name="林晓"),
        message(2, "It arrives tomorrow."),
        message(3, "for colleagues only", visibility="internal"),
        status(2, "in_progress", agent_id="a-1", agent_name="林晓", resolution_due_at=stamp(START + timedelta(days=1)),
               first_responded_at=stamp(START)),
    )  # fmt: skip
    _, text, _ = await open_page(world, world.link(), **{"accept-language": "en"})
    for words in ("SO-1", "SF-2", "It arrives tomorrow.", "林晓", "We aim to have it solved by", "(UTC+8)"):
        assert words in text, words
    assert "colleagues only" not in text
    assert "in_progress" not in text


async def test_page_says_when_a_promise_was_broken(world: World, clock: TravelClock) -> None:
    await world.handle(received(), status(1, "waiting", first_response_due_at=stamp(START + timedelta(minutes=30))))
    _, text, _ = await open_page(world, world.link(), **{"accept-language": "en"})
    assert "You get a first answer by" in text
    clock.jump(minutes=31)
    _, text, _ = await open_page(world, world.link(), **{"accept-language": "en"})
    assert "longer than we promised" in text


@pytest.mark.parametrize("hostile", XSS)
async def test_page_hostile_text_is_inert(world: World, hostile: str) -> None:
    await world.handle(
        received(order_id=hostile, parcel_id=hostile),
        status(1, "in_progress", agent_id="a-1", agent_name=hostile),
        message(2, hostile),
        AgentChanged(tenant_id="acme", agent_id="a-1", version=1, name=hostile),
    )
    code, text, headers = await open_page(world, world.link(), **{"accept-language": hostile.encode().hex()})
    assert code == 200
    assert len(re.findall(r"<script", text)) == 1
    assert not re.search(r"<(img|svg)", text)
    assert "49" not in re.findall(r'class="text"[^>]*>([^<]*)<', text)[0]
    assert "unsafe" not in headers["content-security-policy"]


async def test_page_forms_post_to_intake_and_policy_allows_only_that(database_url: str, clock: TravelClock) -> None:
    world = World(database_url, clock, public_intake_url="https://intake.shop.example")
    await world.handle(received(), status(1, "resolved"))
    link = world.link()
    _, text, headers = await open_page(world, link, **{"accept-language": "en"})
    await world.db.close()
    assert set(re.findall(r'action="([^"]+)"', text)) == {"https://intake.shop.example/v1/tickets/reply"}
    assert re.findall(r'name="action" value="(\w+)"', text) == ["confirm", "reopen", "rate", "reply"]
    assert set(re.findall(r'name="token" value="([^"]+)"', text)) == {link}
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self' https://intake.shop.example;" in policy
    assert "connect-src 'self' https://intake.shop.example;" in policy
    assert "frame-ancestors 'none'" in policy


async def test_page_is_private_small_and_not_indexed(world: World) -> None:
    await world.handle(received(), *(message(n, "A line of text. " * 10) for n in range(2, 22)), status(1, "waiting"))
    _, text, headers = await open_page(world, world.link())
    assert len(text.encode()) < 30_000
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-robots-tag"] == "noindex, nofollow"
    assert "http://" not in text.replace("http://www.w3.org", "")


async def test_page_buttons_follow_the_step(world: World) -> None:
    def buttons(text: str) -> list[str]:
        return re.findall(r'name="action" value="(\w+)"', text)

    await world.handle(received())
    assert buttons((await open_page(world, world.link()))[1]) == ["help", "cancel", "reply"]
    await world.handle(status(1, "self_service"))
    assert buttons((await open_page(world, world.link()))[1]) == ["confirm", "help", "cancel", "reply"]
    await world.handle(status(2, "cancelled"))
    assert buttons((await open_page(world, world.link()))[1]) == []


async def test_page_question_that_waits_stands_above_the_form_and_once(world: World) -> None:
    await world.handle(
        received(), message(2, "Where is it?", author_role="customer"), message(3, "Which <colour>?"),
        status(1, "on_hold", awaited="customer"),
    )  # fmt: skip
    _, text, _ = await open_page(world, world.link() + "?lang=en")
    question, form, past = text.index("Which &lt;colour&gt;?"), text.index("<textarea"), text.index('id="past"')
    assert text.index("Our question") < question < form < past < text.index("Where is it?")
    assert text.count("Which &lt;colour&gt;?") == text.count("Shown above") == 1
    await world.handle(message(4, "The blue one.", author_role="customer"))
    _, text, _ = await open_page(world, world.link() + "?lang=en")
    assert text.index("Which &lt;colour&gt;?") < text.index("The blue one.") < text.index("<textarea")


async def test_page_cancel_asks_once_more_without_scripts(world: World) -> None:
    await world.handle(received(), status(1, "waiting"))
    _, text, _ = await open_page(world, world.link() + "?lang=zh")
    (inside,) = re.findall(r"<details>(.*?)</details>", text, re.DOTALL)
    assert "<summary>取消请求</summary>" in inside
    assert 'value="cancel"' in inside
    assert text.count('value="cancel"') == 1
    assert "确定取消" in inside


@pytest.mark.parametrize("state", ["resolved", "closed"])
async def test_page_of_a_solved_request_can_be_rated_and_shows_the_newest_score(world: World, state: str) -> None:
    await world.handle(received(), status(1, state))
    _, text, _ = await open_page(world, world.link() + "?lang=en")
    assert re.findall(r'<button name="score" value="(\d)"( class="first")?>', text) == [(n, "") for n in "12345"]
    assert "How did we do?" in text
    for sequence, score in ((2, 2), (3, 4)):
        rated = TicketRated(tenant_id="acme", ticket_id="k", sequence=sequence, score=score, rated_at=stamp(START))
        await world.handle(rated)
    _, text, _ = await open_page(world, world.link() + "?lang=en")
    assert "You gave us 4/5" in text
    assert re.findall(r'value="(\d)" class="first"', text) == ["4"]


async def test_page_expired_link_is_a_friendly_410(world: World, clock: TravelClock) -> None:
    await world.handle(received())
    link = world.link(lives=timedelta(hours=1))
    clock.jump(hours=1)
    code, text, _ = await open_page(world, link, **{"accept-language": "zh"})
    assert code == 410
    assert "链接已过期" in text
    assert "c-1" not in text


async def test_page_link_with_one_letter_changed_is_a_friendly_404(world: World) -> None:
    await world.handle(received())
    link = world.link()
    for position in range(0, len(link), 7):
        bent = link[:position] + ("A" if link[position] != "A" else "B") + link[position + 1 :]
        code, text, _ = await open_page(world, bent, **{"accept-language": "en"})
        assert code == 404, bent
        assert "This link does not work" in text


async def test_page_of_another_tenants_ticket_shows_nothing_of_it(world: World) -> None:
    await world.handle(received(), message(2, "private words"))
    code, text, _ = await open_page(world, world.link(tenant="other"), **{"accept-language": "en"})
    assert code == 200
    assert "private words" not in text
    assert "We have your request" in text


async def test_page_fragment_is_the_changing_part_only(world: World) -> None:
    await world.handle(received(), status(1, "waiting"))
    _, text, _ = await open_page(world, world.link() + "?fragment=1&lang=en")
    assert text.startswith('<div id="now"')
    assert 'id="past"' in text
    assert '<section id="write"' in text
    assert "<html" not in text


async def test_page_of_a_closed_request_takes_nothing_and_says_what_was_not_sent(world: World) -> None:
    await world.handle(received(), status(1, "cancelled"))
    _, text, _ = await open_page(world, world.link() + "?lang=en&unsent=1")
    assert "<textarea" not in text
    assert 'role="alert"' in text
    assert "was not sent" in text
    _, text, _ = await open_page(world, world.link() + "?lang=en")
    assert 'role="alert"' not in text
