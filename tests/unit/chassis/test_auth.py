"""Tokens, browser keys and status links."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenliu.chassis.auth import BrowserKey, BrowserKeys, InvalidToken, Principal, StatusTokens, Tokens, split_keys
from tests.hostile import forged_tokens

OLD = "old-key-0123456789abcdef0123456789abcdef"
NEW = "new-key-0123456789abcdef0123456789abcdef"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=40)


@given(tenant=NAMES, subject=NAMES)
def test_token_round_trip_names_the_caller(tenant: str, subject: str) -> None:
    tokens = Tokens(OLD)
    token = tokens.issue(tenant, ["agent", "agent", "supervisor"], subject, 60, NOW)

    assert tokens.verify(token, NOW) == Principal(tenant, subject, frozenset({"agent", "supervisor"}))


def test_token_expires_even_when_it_was_remembered() -> None:
    tokens = Tokens(OLD)
    token = tokens.issue("acme", ["agent"], "a", 60, NOW)
    tokens.verify(token, NOW)

    assert tokens.verify(token, NOW + timedelta(seconds=80)).subject == "a"
    with pytest.raises(InvalidToken, match="expired"):
        tokens.verify(token, NOW + timedelta(seconds=91))
    with pytest.raises(InvalidToken):
        tokens.verify(token, NOW - timedelta(seconds=61))


def test_forged_tokens_are_all_refused() -> None:
    tokens = Tokens(OLD)
    for name, token in forged_tokens(OLD, NOW).items():
        with pytest.raises(InvalidToken):
            pytest.fail(f"{name} was accepted: {tokens.verify(token, NOW)}")


def test_rotated_key_verifies_until_it_is_taken_out() -> None:
    token = Tokens(OLD).issue("acme", ["agent"], "a", 60, NOW)

    assert Tokens(f"{NEW},{OLD}").verify(token, NOW).subject == "a"
    with pytest.raises(InvalidToken):
        Tokens(NEW).verify(token, NOW)
    fresh = Tokens(f"{NEW}, {OLD}").issue("acme", ["agent"], "a", 60, NOW)
    assert Tokens(NEW).verify(fresh, NOW).subject == "a"


def test_remembered_tokens_are_bounded() -> None:
    tokens = Tokens(OLD, cached=3)
    for n in range(10):
        tokens.verify(tokens.issue("acme", ["agent"], f"a{n}", 60, NOW), NOW)
    assert len(tokens._known) == 3


@pytest.mark.parametrize("keys", ["", "short", f"{OLD},short", " , "])
def test_short_key_is_refused(keys: str) -> None:
    with pytest.raises(ValueError, match="32 characters"):
        split_keys(keys)


def test_admin_holds_every_role() -> None:
    assert Principal("acme", "a", frozenset({"admin"})).has("supervisor")
    assert not Principal("acme", "a", frozenset({"agent"})).has("supervisor", "integration")


@given(tenant=NAMES, ticket=NAMES, lifetime_s=st.integers(1, 10**8))
def test_status_link_round_trip_is_exact(tenant: str, ticket: str, lifetime_s: int) -> None:
    received = NOW + timedelta(microseconds=123_457)
    expires = received + timedelta(seconds=lifetime_s)
    link = StatusTokens(OLD).issue(tenant, ticket, received, expires)
    claims = StatusTokens(OLD).verify(link, NOW)

    assert (claims.tenant_id, claims.ticket_id, claims.received_at, claims.expires_at) == (
        tenant, ticket, received, expires,
    )  # fmt: skip


def test_status_link_with_any_character_changed_is_refused() -> None:
    links = StatusTokens(OLD)
    link = links.issue("acme", "t1", NOW, NOW + timedelta(days=1))
    for position, character in enumerate(link):
        for other in "Aa_=/":
            if other != character:
                with pytest.raises(InvalidToken):
                    links.verify(link[:position] + other + link[position + 1 :], NOW)
    for wrong in ("", "=", link + "A", link[:-1], link + "=", "é", "A" * 5000):
        with pytest.raises(InvalidToken):
            links.verify(wrong, NOW)


def test_status_link_expires_and_rotates() -> None:
    link = StatusTokens(OLD).issue("acme", "t1", NOW, NOW + timedelta(days=1))

    assert StatusTokens(f"{NEW},{OLD}").verify(link, NOW).ticket_id == "t1"
    with pytest.raises(InvalidToken):
        StatusTokens(NEW).verify(link, NOW)
    with pytest.raises(InvalidToken, match="expired"):
        StatusTokens(OLD).verify(link, NOW + timedelta(days=1))


def test_status_link_cannot_move_a_character_between_tenant_and_ticket() -> None:
    links = StatusTokens(OLD)
    first = links.verify(links.issue("ab", "c", NOW, NOW + timedelta(days=1)), NOW)
    second = links.verify(links.issue("a", "bc", NOW, NOW + timedelta(days=1)), NOW)
    assert (first.tenant_id, first.ticket_id) != (second.tenant_id, second.ticket_id)


def test_browser_key_opens_its_own_origins_only() -> None:
    keys = BrowserKeys([BrowserKey("pk_a", "acme", ("https://a.example",)), BrowserKey("pk_b", "b", ("https://b",))])

    assert keys.verify("pk_a", "https://a.example").browser_key
    for key, origin in (("pk_a", "https://b"), ("pk_a", None), ("pk_c", "https://a.example"), ("pk_a", "null")):
        with pytest.raises(InvalidToken):
            keys.verify(key, origin)
