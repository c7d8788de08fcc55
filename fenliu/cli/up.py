"""`fenliu up`: the whole platform on one machine for a first look, with a demo tenant at work.

Embedded broker, SQLite files and four services as child processes; a team of simulated agents and a feed of sample
messages drive them through the public interfaces only.
"""

from __future__ import annotations

import asyncio
import shlex
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx2
from google.protobuf.message import Message
from rich.console import Console

from fenliu.chassis.auth import Tokens
from fenliu.chassis.clock import Clock, SystemClock
from fenliu.chassis.messaging.kafka import KafkaOptions, Producer, ensure_topics
from fenliu.chassis.messaging.kafka.follow import follow
from fenliu.cli import wire
from fenliu.cli.feed import Feed
from fenliu.cli.home import SERVICES, Home
from fenliu.cli.prometheus import prometheus_config
from fenliu.cli.supervise import ChildDied, Supervisor, claim_ports, fenliu
from fenliu.cli.team import TEAM, Shift, hire
from fenliu.cli.view import Board, show

TENANT = "demo"
TOKEN_TTL_S = int(timedelta(days=1).total_seconds())
READY_WITHIN_S = 60.0
WATCHED = ("ticket-inbound", "ticket-classified", "ticket-status")

NOTICE = (
    "Fenliu for a first look: broker in memory, SQLite files, everything on this machine. Not for production; "
    "that is Apache Kafka and PostgreSQL (docker compose up, deploy/k8s).\n"
    "分流体验版：内存消息代理与 SQLite 文件，仅供试用，请勿用于生产；生产环境请使用 Kafka 与 PostgreSQL。"
)


@dataclass
class Options:
    """What the command line asked for.

    sample   False starts the stack empty: no agents, no messages.
    every_s  seconds between two sample messages.
    """

    sample: bool = True
    every_s: float = 1.0
    prometheus: bool = True


class Stack:
    """The running platform and what is needed to talk to it."""

    def __init__(self, home: Home, console: Console, clock: Clock | None = None) -> None:
        self.home = home
        self.console = console
        self.clock = clock or SystemClock()
        self.supervisor = Supervisor(home.logs)
        self.tokens = Tokens(home.key("token"))

    def token(self, role: str, subject: str) -> str:
        """A day's token of the demo tenant."""
        return self.tokens.issue(TENANT, [role], subject, TOKEN_TTL_S, self.clock.now())

    async def start(self, *, prometheus: bool) -> None:
        """Broker, migrations, services; returns when all four are ready. Raises ChildDied or NotReady."""
        guard = [*fenliu()[:1], "-m", "fenliu.cli.guard"]
        broker = [*guard, *fenliu()[:1], "-m", "fenliu.chassis.messaging.embedded"]
        env = self.home.process_env("intake")
        await self.supervisor.start("broker", [*broker, "--port", str(self.home.port("broker"))], env)
        await self._migrate()
        await self.supervisor.until_listening(self.home.port("broker"), READY_WITHIN_S)
        await ensure_topics(KafkaOptions(self.home.bootstrap))
        for service in SERVICES:
            command = fenliu("run", service, "--supervised")
            await self.supervisor.start(service, command, self.home.process_env(service))
        binary = shutil.which("prometheus") if prometheus else None
        if binary:
            command = [*guard, binary, *prometheus_config(self.home)]
            await self.supervisor.start("prometheus", command, env)
        await asyncio.gather(
            *(self.supervisor.until_ready(name, self.home.url(name), READY_WITHIN_S) for name in SERVICES)
        )

    async def _migrate(self) -> None:
        from fenliu.cli.database import upgrade

        for service in SERVICES:
            if service != "classifier":
                await asyncio.to_thread(upgrade, service, self.home.settings_env(service))

    async def events(self) -> AsyncIterator[Message]:
        """What happens to tickets from now on."""
        async for event in wire.events(follow(KafkaOptions(self.home.bootstrap), WATCHED)):
            yield event


async def up(home: Home, options: Options, console: Console) -> None:
    """Run until Ctrl-C, SIGTERM, or until a part dies. Everything that was started is stopped before it returns."""
    claim_ports({name: home.port(name) for name in ("broker", *SERVICES)})
    home.prepare()
    console.print(NOTICE, style="yellow", markup=False, highlight=False)
    began = time.monotonic()
    stack = Stack(home, console)
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    life = asyncio.create_task(_live(stack, options, began))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({life, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if life.done():
            life.result()
        else:
            console.print("\nStopping … 正在停止")
    finally:
        for task in (life, stopping):
            task.cancel()
        await asyncio.gather(life, stopping, return_exceptions=True)
        await stack.supervisor.stop()
        console.print(f"Stopped. Everything accepted is kept in {home.path}; the next start goes on from there.")


async def _live(stack: Stack, options: Options, began: float) -> None:
    await stack.start(prometheus=options.prometheus)
    ready = time.monotonic()
    stack.console.print(f"Ready after {ready - began:.1f} s.")
    explain(stack)
    parts = [stack.supervisor.watch(partial(stack.console.print, style="yellow", markup=False)), _show(stack, ready)]
    if options.sample:
        parts.append(_demo(stack, options))
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await until_first_failure(tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until_first_failure(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait until a task fails, and raise that. A child that died comes first: the others fail for want of it."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    errors = [error for task in done if (error := task.exception()) is not None]
    if errors:
        raise next((error for error in errors if isinstance(error, ChildDied)), errors[0])


async def _show(stack: Stack, ready: float) -> None:
    board = Board()
    say = stack.console.print

    def first_assignment(stage: str, _line: object) -> None:
        if stage == "assigned" and board.counts["assigned"] == 1:
            say(f"First assignment {time.monotonic() - ready:.1f} s after ready.")

    board.watchers.append(first_assignment)
    await show(board, stack.events(), stack.console)


async def _demo(stack: Stack, options: Options) -> None:
    home = stack.home
    run = format(int(stack.clock.now().timestamp()), "x")
    async with AsyncExitStack() as resources:
        limits = httpx2.Limits(max_connections=200)
        client = await resources.enter_async_context(httpx2.AsyncClient(timeout=10, limits=limits))
        producer = Producer(KafkaOptions(home.bootstrap), "fenliu-up")
        resources.push_async_callback(producer.close)
        await hire(client, home.url("router"), stack.token)
        storefront = {"Authorization": f"Bearer {stack.token('storefront', 'demo-shop')}"}
        feed = Feed(
            client,
            home.url("intake"),
            storefront,
            producer,
            TENANT,
            run,
            stack.clock,
            options.every_s,
            on_first=lambda link: stack.console.print(f"A shopper's status page 顾客进度页: {link}", soft_wrap=True),
        )
        async with asyncio.TaskGroup() as group:
            for agent in TEAM:
                shift = Shift(agent, client, home.url("intake"), home.url("router"), stack.token)
                group.create_task(shift.run())
            group.create_task(feed.run_messages())
            group.create_task(feed.run_events())


def explain(stack: Stack) -> None:
    """Print addresses, tokens and command lines that work as they stand."""
    home = stack.home
    lines = [f"{name:<11} {home.url(name)}/" for name in SERVICES]
    lines += [f"{'kafka':<11} {home.bootstrap}", f"{'logs':<11} {home.logs}{Path('/')}"]
    if any(child.name == "prometheus" for child in stack.supervisor.children):
        lines += [f"{'prometheus':<11} {home.url('prometheus')}/alerts"]
    lines += [
        "",
        "# tokens of tenant demo, good for a day 令牌，一天内有效",
        f"export STOREFRONT={stack.token('storefront', 'demo-shop')}",
        f"export ADMIN={stack.token('admin', 'you')}",
        "",
        "# send a ticket; the answer has its status page 提交一张工单",
        f'curl -sw "\\n" {home.url("intake")}/v1/tickets -H "Authorization: Bearer $STOREFRONT" \\',
        '  -H \'Content-Type: application/json\' -d \'{"customer_id": "c-1", "text": "我的快递三天没动了"}\'',
        "# who is on duty, and what waits 谁在岗、谁在等",
        f'curl -sw "\\n" {home.url("router")}/v1/agents -H "Authorization: Bearer $ADMIN"',
        f'curl -sw "\\n" {home.url("router")}/v1/queues -H "Authorization: Bearer $ADMIN"',
        "# label a text 分类一段文字",
        f'curl -sw "\\n" {home.url("classifier")}/v1/classify -H "Authorization: Bearer $ADMIN" \\',
        "  -H 'Content-Type: application/json' -d '{\"text\": \"一单扣了我两次钱\"}'",
        "# the command line, in another terminal 另一个终端里的命令行",
        f"export PORT_BASE={home.port_base} FENLIU_HOME={shlex.quote(str(home.path.resolve()))}",
        f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"',
        "fenliu tail ticket-status",
        "fenliu doctor",
        "",
        "Ctrl-C stops everything 停止",
    ]
    for line in lines:
        stack.console.print(line, markup=False, highlight=False, soft_wrap=True)
