"""Webhooks as Standard Webhooks 1.0 wants them: signed, with a stable id, never following anybody anywhere.

The host is resolved once per attempt, every address it has must be allowed, and the connection is made to the address
that was checked, with the host's name in TLS and in the Host header. A name that changes its mind between check and
connection therefore changes nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial

import httpx2
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from services.notifier.domain import (
    AddressRules,
    BlockedAddress,
    Deferred,
    Delivered,
    Endpoint,
    ForbiddenUrl,
    Outcome,
    Rejected,
    parse_endpoint,
)

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Host and port → textual addresses, at least one. Raises OSError where there is none."""

MAX_RESPONSE = 65_536
"""Most bytes read of an answer's body: enough to let a well-behaved endpoint finish, too few to hurt."""

DRAIN_S = 0.5
"""Longest time spent on that, seconds."""


class SystemResolver:
    """All addresses of a host as the system knows them. Threads of its own: names of slow name servers must not keep
    other work, or many other names, waiting."""

    def __init__(self, threads: int = 32) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="dns")

    async def __call__(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await loop.run_in_executor(self._threads, look_up)
        return list(dict.fromkeys(str(item[4][0]) for item in found))


class Webhooks:
    """Sends one attempt at a time, as many at once as it is asked to.

    connect_timeout_s, timeout_s: longest time to connect, and for the whole attempt, seconds.
    trust: certificates to believe; None is the system's.
    """

    def __init__(
        self,
        rules: AddressRules,
        *,
        connect_timeout_s: float = 5.0,
        timeout_s: float = 15.0,
        resolver: Resolve | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._rules = rules
        self._connect_timeout_s = connect_timeout_s
        self._timeout_s = timeout_s
        self._resolve = resolver or SystemResolver()
        self._client = httpx2.AsyncClient(
            verify=trust if trust is not None else ssl.create_default_context(),
            trust_env=False,  # a proxy from the environment would connect where it likes
            follow_redirects=False,
            timeout=httpx2.Timeout(timeout_s, connect=connect_timeout_s),
            # connections are pooled by address: keeping one would let another host's request ride on this host's TLS
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
        )

    async def close(self) -> None:
        """Close what is open."""
        await self._client.aclose()

    async def send(self, url: str, secrets: Sequence[str], delivery_id: str, payload: str, now: datetime) -> Outcome:
        """Make one attempt, signed with each of `secrets`. now: aware UTC, becomes webhook-timestamp.

        Never raises for what the far side does.
        """
        try:
            endpoint = parse_endpoint(url, self._rules)
            signature = " ".join(Webhook(secret).sign(delivery_id, now, payload) for secret in secrets)
        except ForbiddenUrl as error:
            return Rejected(str(error))
        except (ValueError, EmptyWebhookSecretError):
            return Rejected("The subscription's secret cannot be read. Delete it and make a new one.")
        headers = {
            "Host": endpoint.authority,
            "Content-Type": "application/json",
            "User-Agent": "Fenliu-Webhooks/1",
            "Accept-Encoding": "identity",
            "webhook-id": delivery_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature,
        }
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._answer(endpoint, headers, payload.encode())
        except BlockedAddress as error:
            return Rejected(str(error))
        except TimeoutError:
            return Deferred(f"No answer within {self._timeout_s:g} s.")
        if isinstance(response, Deferred):
            return response
        try:
            await _drain(response)
        finally:
            await response.aclose()
        return _outcome(response, now)

    async def _answer(self, endpoint: Endpoint, headers: dict[str, str], body: bytes) -> httpx2.Response | Deferred:
        """The answer up to its headers, or why there was none."""
        try:
            address = await self._allowed_address(endpoint)
        except (OSError, UnicodeError):
            return Deferred(f"The name {endpoint.host} has no address.")
        host = f"[{address}]" if ":" in address else address
        request = self._client.build_request(
            "POST",
            f"{endpoint.scheme}://{host}:{endpoint.port}{endpoint.target}",
            headers=headers,
            content=body,
            extensions={"sni_hostname": endpoint.host},
        )
        try:
            return await self._client.send(request, stream=True)
        except httpx2.ConnectTimeout:
            return Deferred(f"No connection within {self._connect_timeout_s:g} s.")
        except httpx2.TimeoutException:
            return Deferred(f"No answer within {self._timeout_s:g} s.")
        except (httpx2.HTTPError, ssl.SSLError) as error:
            return Deferred(_why(error))

    async def _allowed_address(self, endpoint: Endpoint) -> str:
        """The address to connect to. One that is not allowed spoils all: such an answer is an attack or a mistake."""
        try:
            addresses = [str(ipaddress.ip_address(endpoint.host))]
        except ValueError:
            addresses = await self._resolve(endpoint.host, endpoint.port)
        blocked = [address for address in addresses if not self._rules.allows(address)]
        if blocked or not addresses:
            raise BlockedAddress(f"The name {endpoint.host} leads to an address that is not on the public internet.")
        return addresses[0]


async def _drain(response: httpx2.Response) -> None:
    """Read a little of the body so that the endpoint is not cut off in the middle; what it says does not matter."""
    size = 0
    try:
        async with asyncio.timeout(DRAIN_S):
            async for chunk in response.aiter_raw(16_384):
                size += len(chunk)
                if size >= MAX_RESPONSE:
                    return
    except (httpx2.HTTPError, TimeoutError):
        return  # the status has arrived, and it decides


def _outcome(response: httpx2.Response, now: datetime) -> Outcome:
    status = response.status_code
    if 200 <= status < 300:
        return Delivered(status)
    if status == 410:
        return Rejected("The endpoint answered 410 Gone, so the subscription was switched off.", status, gone=True)
    if 300 <= status < 400:
        return Deferred(f"The endpoint answered {status}. Redirects are not followed; give the final URL.", status)
    return Deferred(
        f"The endpoint answered {status}.", status, _retry_after_s(response.headers.get("retry-after"), now)
    )


def _retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds or a date (RFC 9110, 10.2.3); None where it is missing or makes no sense."""
    if value is None or len(value) > 64:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - now).total_seconds(), 0.0)


def _why(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"The certificate was not accepted: {cause.verify_message}."
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx2.ConnectError):
        return "The connection was refused."
    return "The connection was closed before there was an answer."
