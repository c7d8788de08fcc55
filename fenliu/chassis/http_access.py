"""Who may call a route: `caller: Annotated[Principal, require("agent")]`."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, Request

from fenliu.chassis.auth import BrowserKeys, InvalidToken, Principal, Tokens
from fenliu.chassis.clock import Clock
from fenliu.chassis.errors import Forbidden

BROWSER_KEY_PREFIX = "pk_"


class MissingToken(InvalidToken):
    """A valid token is needed: `Authorization: Bearer …`. `fenliu token` makes one."""

    slug = "missing-token"


class NoBrowserKeys(Forbidden):
    """A publishable key may only create. Use a token here."""

    slug = "token-needed"


class Authenticator:
    """Finds out who calls, from the header alone."""

    def __init__(self, tokens: Tokens, browser_keys: BrowserKeys, clock: Clock) -> None:
        self._tokens = tokens
        self._browser_keys = browser_keys
        self._clock = clock

    def caller(self, authorization: bytes, origin: bytes | None) -> Principal:
        """Raises InvalidToken."""
        scheme, _, credentials = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            raise MissingToken()
        token = credentials.decode("latin-1").strip()
        if token.startswith(BROWSER_KEY_PREFIX):
            return self._browser_keys.verify(token, origin.decode("latin-1") if origin is not None else None)
        return self._tokens.verify(token, self._clock.now())


def require(*roles: str, browser_keys: bool = False) -> Any:
    """A route's caller: 401 without a valid token, 403 without one of `roles` (none: any valid token will do).

    browser_keys  True lets publishable keys in; they hold the role storefront.
    """

    async def caller(request: Request) -> Principal:
        facts = request.scope["fenliu.facts"]
        principal: Principal | None = facts.principal
        if principal is None:
            raise facts.failure or MissingToken()
        if principal.browser_key and not browser_keys:
            raise NoBrowserKeys()
        if roles and not principal.has(*roles):
            raise Forbidden(f"This needs one of the roles {', '.join(roles)}.")
        return principal

    caller.__fenliu_roles__ = roles  # type: ignore[attr-defined]
    return Depends(caller)
