"""What `fenliu up` shows: how far tickets have come, read from the topics like any other observer would."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from google.protobuf.message import Message
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fenliu.contracts.events import TicketClassified, TicketMessageAdded, TicketReceived, TicketStatusChanged

OWNED = frozenset({"offered", "assigned", "in_progress", "on_hold"})
STAGES = ("received", "labelled", "assigned", "answered", "resolved")
KEPT_TICKETS = 2_000
SHOWN_TICKETS = 12


@dataclass
class Line:
    """One ticket on the board."""

    ticket_id: str
    text: str = ""
    label: str = ""
    agent: str = ""
    state: str = "received"
    reached: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    answer: str = ""


@dataclass
class Board:
    """Counts of distinct tickets that reached each stage since the board began, and the latest of them."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STAGES, 0))
    lines: OrderedDict[str, Line] = field(default_factory=OrderedDict)
    watchers: list[Callable[[str, Line], None]] = field(default_factory=list)
    """Called with the stage and the ticket's line whenever a ticket reaches a stage for the first time. The topics are
    read side by side, so a stage that is read before an earlier one is kept back for it."""

    def see(self, event: Message) -> None:
        """Take one event into account; types that the board does not show are ignored."""
        if isinstance(event, TicketReceived):
            line = self._line(event.ticket_id)
            line.text = " ".join(event.text.split())
            self._reach(line, "received")
        elif isinstance(event, TicketClassified):
            line = self._line(event.ticket_id)
            line.label = f"{event.labels.category} · {event.labels.tier} · {event.labels.complexity}"
            self._reach(line, "labelled")
        elif isinstance(event, TicketMessageAdded):
            if event.author_role == "agent" and event.visibility == "public":
                line = self._line(event.ticket_id)
                line.answer = " ".join(event.text.split())
                self._reach(line, "answered")
        elif isinstance(event, TicketStatusChanged):
            self._status(event)

    def _status(self, event: TicketStatusChanged) -> None:
        line = self._line(event.ticket_id)
        line.state = event.state if event.state != "waiting" else f"waiting: {event.reason}"
        line.agent = event.agent_name or event.agent_id or line.agent
        if event.state in OWNED and event.agent_id:
            self._reach(line, "assigned")
        if event.state in ("resolved", "closed"):
            self._reach(line, "resolved")

    def _line(self, ticket_id: str) -> Line:
        line = self.lines.setdefault(ticket_id, Line(ticket_id))
        while len(self.lines) > KEPT_TICKETS:
            self.lines.popitem(last=False)
        return line

    def _reach(self, line: Line, stage: str) -> None:
        line.reached.add(stage)
        over = "resolved" in line.reached  # then it may have skipped stages, and nobody waits for them
        for each in STAGES:
            if each in line.told:
                continue
            if each in line.reached and "resolved" not in line.told:
                self._tell(line, each)
            elif not over:
                return

    def _tell(self, line: Line, stage: str) -> None:
        line.told.add(stage)
        self.counts[stage] += 1
        for watcher in self.watchers:
            watcher(stage, line)

    def summary(self) -> str:
        return " · ".join(f"{stage} {self.counts[stage]}" for stage in STAGES)

    def render(self) -> Group:
        """The board for a terminal: one line of counts, then the latest tickets, newest first."""
        head = Text()
        for stage in STAGES:
            head.append(f"{self.counts[stage]:>6} ", style="bold cyan")
            head.append(stage)
        table = Table(box=None, pad_edge=False, show_header=True, header_style="dim", expand=True)
        table.add_column("ticket", no_wrap=True, ratio=5)
        table.add_column("labels", no_wrap=True, ratio=4)
        table.add_column("agent", no_wrap=True, ratio=1)
        table.add_column("state", no_wrap=True, ratio=2)
        for line in list(reversed(self.lines.values()))[:SHOWN_TICKETS]:
            table.add_row(Text(line.text), line.label, line.agent, line.state)
        return Group(head, table)


async def show(board: Board, events: AsyncIterator[Message], console: Console) -> None:
    """Keep the board on the console until cancelled: live in a terminal, plain lines elsewhere."""
    if not console.is_terminal:
        board.watchers.append(lambda stage, line: _say(console, board, stage, line))
        async for event in events:
            board.see(event)
        return
    with Live(board.render(), console=console, auto_refresh=False) as live:
        refresh = asyncio.create_task(_refresh(live, board))
        try:
            async for event in events:
                board.see(event)
        finally:
            refresh.cancel()


async def _refresh(live: Live, board: Board) -> None:
    while True:
        live.update(board.render(), refresh=True)
        await asyncio.sleep(0.25)


def _say(console: Console, board: Board, stage: str, line: Line) -> None:
    what = {"labelled": line.label, "assigned": f"to {line.agent}", "answered": line.answer}.get(stage, line.text)
    console.print(f"{stage:<9} {line.ticket_id}  {what}", markup=False, highlight=False, soft_wrap=True)
    if stage == "resolved" and board.counts[stage] % 10 == 0:
        console.print(board.summary(), markup=False, highlight=False)
