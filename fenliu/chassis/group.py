"""Grouped commits: what arrives at the same time shares a transaction.

Most of a transaction's cost is the same for one item and for fifty: its round trips, its flush to disk, and some
milliseconds of Python.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from fenliu.chassis.errors import Transient
from fenliu.chassis.observability import FAST_BUCKETS, counter, gauge, histogram

Item = TypeVar("Item")
Result = TypeVar("Result")

commit_seconds = histogram(
    "fenliu_group_commit_seconds",
    "Length of one grouped commit.",
    reaction="Rises above 0.1 s: the database is slow; look at its disk and at lock waits.",
    labels={"group": None},
    buckets=FAST_BUCKETS,
)
commit_items = histogram(
    "fenliu_group_commit_requests",
    "Requests written in one grouped commit.",
    reaction="Near the limit all the time: add a replica of the service.",
    labels={"group": None},
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
waiting_items = gauge(
    "fenliu_group_waiting_requests",
    "Requests that wait to be committed.",
    reaction="Grows: commits are slower than arrivals; callers get 503 when it reaches the limit.",
    labels={"group": None},
)
refused_total = counter(
    "fenliu_group_refused_total",
    "Valid requests that were refused because they could not be committed in time.",
    reaction="The database is slow, or the service needs another replica.",
    labels={"group": None, "reason": ("overloaded", "timed_out")},
)


class Overloaded(Transient):
    """There is more to write than can be written just now. Nothing was kept; send it again after Retry-After."""

    slug = "overloaded"


class CommitTimedOut(Transient):
    """It was not written in time, or it is not known whether it was. Send it again, with its Idempotency-Key if any."""

    slug = "commit-timed-out"


class GroupCommit(Generic[Item, Result]):
    """Hands the items that wait to `commit`, all at once; while that runs, the next ones gather.

    commit       writes a batch in one transaction; one result per item, in their order. An exception as a result is
                 raised to that item's caller alone, and does not undo the others.
    max_batch    most items in one transaction.
    max_waiting  most items that wait; above it Overloaded.
    timeout_s    longest wait of one item, seconds; then CommitTimedOut.
    rest_s       between two transactions lies as much time as the first one took, at most so many seconds, in which
                 items gather.
    A lone item is written at once. One that makes `commit` raise fails alone: a batch that fails is halved until the
    culprit stands by itself; a Transient is told to the whole batch.
    """

    def __init__(
        self,
        name: str,
        commit: Callable[[list[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        max_batch: int = 500,
        max_waiting: int = 4000,
        timeout_s: float = 8.0,
        rest_s: float = 0.05,
    ) -> None:
        self._commit = commit
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._timeout_s = timeout_s
        self._rest_s = rest_s
        self._rests_until = 0.0
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._name = name
        self._seconds = commit_seconds.labels(group=name)
        self._items = commit_items.labels(group=name)
        self._length = waiting_items.labels(group=name)

    async def submit(self, item: Item) -> Result:
        """The result of the transaction that wrote the item, after its commit."""
        if len(self._waiting) >= self._max_waiting:
            refused_total.inc(group=self._name, reason="overloaded")
            raise Overloaded(retry_after_s=1.0)
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all(), name=f"grouped commits of {self._name}")
        try:
            async with asyncio.timeout(self._timeout_s):
                return await done
        except TimeoutError:
            refused_total.inc(group=self._name, reason="timed_out")
            raise CommitTimedOut(retry_after_s=1.0) from None

    async def settled(self) -> None:
        """Return once nothing waits any more."""
        if self._writer is not None:
            await self._writer

    async def _write_all(self) -> None:
        while self._waiting:
            if (rest_s := self._rests_until - time.perf_counter()) > 0:
                await asyncio.sleep(rest_s)
            batch: list[tuple[Item, asyncio.Future[Result]]] = []
            while self._waiting and len(batch) < self._max_batch:
                item, done = self._waiting.popleft()
                if not done.done():  # its caller went away or gave up; it was promised nothing
                    batch.append((item, done))
            self._length.set(len(self._waiting))
            if batch:
                started = time.perf_counter()
                await self._write(batch)
                ended = time.perf_counter()
                self._rests_until = ended + min(self._rest_s, ended - started)

    async def _write(self, batch: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        started = time.perf_counter()
        (outcome,) = await asyncio.gather(self._commit([item for item, _ in batch]), return_exceptions=True)
        if not isinstance(outcome, BaseException):
            self._seconds.observe(time.perf_counter() - started)
            self._items.observe(len(batch))
            for (_, done), result in zip(batch, outcome, strict=True):
                _settle(done, result)
        elif len(batch) == 1 or isinstance(outcome, Transient):
            for _, done in batch:
                _settle(done, outcome)
        else:
            middle = len(batch) // 2
            await self._write(batch[:middle])
            await self._write(batch[middle:])


def _settle(done: asyncio.Future[Any], result: object) -> None:
    if done.done():
        return
    if isinstance(result, BaseException):
        done.set_exception(result)
    else:
        done.set_result(result)
