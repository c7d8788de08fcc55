"""Who calls: tokens with tenant and roles, publishable browser keys, status links."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

ROLES = ("storefront", "customer", "agent", "supervisor", "integration", "admin")
"""Role names are data: the chassis attaches no meaning to them except that `admin` may do everything in its tenant."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller. subject: customer id, agent id or name of an integration."""

    tenant_id: str
    subject: str
    roles: frozenset[str]
    browser_key: bool = False

    def has(self, *roles: str) -> bool:
        """True where the caller holds one of `roles`, or is an admin."""
        return "admin" in self.roles or not self.roles.isdisjoint(roles)


@dataclass(frozen=True, slots=True)
class BrowserKey:
    """A publishable key for web pages: may only create, and only from the listed origins (scheme://host[:port])."""

    key: str
    tenant_id: str
    origins: tuple[str, ...]


class StatusClaims:
    """What a status link says: whose ticket, since when, until when."""

    tenant_id: str
    ticket_id: str
    received_at: datetime
    expires_at: datetime


class StatusTokens:
    """Signs and verifies status links: compact, URL-safe, HMAC-SHA256 with the key that intake and notifier share."""

    def __init__(self, key: str) -> None:
        raise NotImplementedError

    def issue(self, tenant_id: str, ticket_id: str, received_at: datetime, expires_at: datetime) -> str:
        """The token of `/s/<token>`."""
        raise NotImplementedError

    def verify(self, token: str, now: datetime) -> StatusClaims:
        """Raises InvalidToken where the signature is wrong or the link has expired."""
        raise NotImplementedError
