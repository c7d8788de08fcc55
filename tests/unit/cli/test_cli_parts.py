"""The command line's own parts: sample, board, lifetimes, lines to publish, ports and keys."""

from __future__ import annotations

import json
import socket
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest
from google.protobuf import json_format

from fenliu.cli import doctor, feed, wire
from fenliu.cli.doctor import Finding
from fenliu.cli.home import Home, NoKey
from fenliu.cli.main import parse_ttl
from fenliu.cli.supervise import PortTaken, claim_ports, how_ended, last_lines
from fenliu.cli.team import TEAM, Shift
from fenliu.cli.view import Board, Line
from fenliu.contracts.events import (
    LogisticsEvent,
    OrderEvent,
    TicketClassified,
    TicketMessageAdded,
    TicketReceived,
    TicketStatusChanged,
)
from fenliu.contracts.vocabulary import CATEGORIES, skills

NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)


def test_sample_messages_any_ten_have_the_promised_mix() -> None:
    groups = [row["group"] for row in islice(feed.endless("messages.jsonl"), 100)]
    for start in range(0, 100, 10):
        assert Counter(groups[start : start + 10]) == {"product": 4, "logistics": 3, "service": 2, "other": 1}


def test_sample_events_are_events_of_the_contracts() -> None:
    rows = list(islice(feed.endless("events.jsonl"), 60))
    kinds = set()
    for number, row in enumerate(rows):
        if row["topic"] != "message":
            event = feed.outside_event(row, "O1", "demo", NOW, version=number + 1)
            message = {"order-events": OrderEvent, "logistics-events": LogisticsEvent}[row["topic"]]()
            json_format.ParseDict(event, message)
            assert message.version == number + 1
            assert message.tenant_id == "demo"
            kinds.add(event["kind"])
    assert {"LOGISTICS_EVENT_KIND_LOST", "LOGISTICS_EVENT_KIND_DAMAGED", "ORDER_EVENT_KIND_CHARGED"} <= kinds


def test_sample_second_round_has_other_ids() -> None:
    first, *_, again = islice(feed.endless("messages.jsonl"), 101)
    assert (first["text"], first["round"], again["round"]) == (again["text"], 0, 1)


def test_team_covers_every_skill_and_has_a_reply_for_every_category_in_two_languages() -> None:
    assert {skill for agent in TEAM for skill in agent.skills} == set(skills())
    shift = Shift(TEAM[0], None, "", "", lambda role, subject: "")  # type: ignore[arg-type]
    for category in CATEGORIES:
        chinese = shift._reply({"labels": {"category": category, "language": "zh"}})
        english = shift._reply({"labels": {"category": category, "language": "en"}})
        assert chinese != english
    assert shift._reply({"labels": None})


def test_board_counts_each_ticket_once_per_stage() -> None:
    board = Board()
    seen: list[str] = []
    board.watchers.append(lambda stage, line: seen.append(stage))
    for _ in range(2):
        board.see(TicketReceived(ticket_id="t", text="在吗\n在吗"))
        board.see(TicketClassified(ticket_id="t"))
        board.see(TicketStatusChanged(ticket_id="t", state="assigned", agent_id="a", agent_name="刘洋"))
        board.see(TicketMessageAdded(ticket_id="t", author_role="agent", visibility="public", text="在的"))
        board.see(TicketStatusChanged(ticket_id="t", state="resolved"))
    assert seen == ["received", "labelled", "assigned", "answered", "resolved"]
    assert board.lines["t"] == Line("t", "在吗 在吗", " ·  · ", "刘洋", "resolved", set(seen), set(seen), "在的")


def test_board_keeps_a_stage_back_until_earlier_ones_were_read() -> None:
    board = Board()
    seen: list[str] = []
    board.watchers.append(lambda stage, line: seen.append(stage))
    board.see(TicketStatusChanged(ticket_id="t", state="assigned", agent_id="a"))
    board.see(TicketMessageAdded(ticket_id="t", author_role="agent", visibility="public"))
    board.see(TicketReceived(ticket_id="t"))
    assert seen == ["received"]
    board.see(TicketClassified(ticket_id="t"))
    assert seen == ["received", "labelled", "assigned", "answered"]
    board.see(TicketStatusChanged(ticket_id="old", state="resolved"))
    board.see(TicketMessageAdded(ticket_id="old", author_role="agent", visibility="public"))
    assert seen[4:] == ["resolved"]


def test_board_internal_notes_and_customers_messages_are_no_answers() -> None:
    board = Board()
    board.see(TicketMessageAdded(ticket_id="t", author_role="agent", visibility="internal"))
    board.see(TicketMessageAdded(ticket_id="t", author_role="customer", visibility="public"))
    assert board.counts["answered"] == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(30)),
    ],
)
def test_ttl_is_read(text: str, expected: timedelta) -> None:
    assert parse_ttl(text) == expected


@pytest.mark.parametrize("text", ["", "h", "12", "0h", "-1h", "1.5h", "12 h", "1y"])
def test_ttl_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no lifetime"):
        parse_ttl(text)


def test_publish_line_of_an_outside_topic_stays_json_and_gets_headers() -> None:
    line = json.dumps({"tenant_id": "demo", "order_id": "O1", "kind": "ORDER_EVENT_KIND_PLACED"})
    key, value, headers = wire.from_line("order-events", line)
    assert (key, json.loads(value)) == ("O1", json.loads(line))
    found = dict(headers)
    assert (found["content-type"], found["tenant"], found["ce_type"]) == (b"application/json", b"demo", b"OrderEvent")
    assert dict(wire.from_line("order-events", line)[2])["ce_id"] == found["ce_id"]


def test_publish_line_of_an_inner_topic_becomes_protobuf() -> None:
    line = '{"type": "TicketRated", "event": {"tenant_id": "demo", "ticket_id": "t", "score": 5}}'
    key, value, headers = wire.from_line("ticket-inbound", line)
    assert key == "t"
    assert value == b"\n\x04demo\x12\x01t \x05"
    assert dict(headers)["ce_type"] == b"TicketRated"


@pytest.mark.parametrize(
    "line", ["", "[]", "{", '{"order_id": 7}', '{"order_id": "O1"}', '{"tenant_id": "demo", "x": 1}']
)
def test_publish_line_that_makes_no_sense_is_refused(line: str) -> None:
    with pytest.raises(wire.Unreadable):
        wire.from_line("order-events", line)


def test_home_keys_are_made_once_and_for_their_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with pytest.raises(NoKey):
        home.key("token")
    home.prepare()
    key = home.key("token")
    home.prepare()
    assert home.key("token") == key
    assert key != home.key("status")
    assert (home.path / "token.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("code", "how"),
    [(-9, "by signal SIGKILL"), (137, "by signal SIGKILL"), (1, "with exit code 1"), (128, "with exit code 128")],
)
def test_end_of_a_child_is_told_by_the_signals_name(code: int, how: str) -> None:
    assert how_ended(code) == how


def test_last_lines_are_those_of_this_run(tmp_path: Path) -> None:
    log = tmp_path / "intake.log"
    log.write_text("old\n")
    written = log.stat().st_size
    assert "nothing" in last_lines(log, written)
    log.write_text("old\nnew\n")
    assert last_lines(log, written) == "  new"


def test_doctor_sums_up_what_is_fine_and_shows_what_is_not() -> None:
    found = [Finding("lag", "a"), Finding("lag", "b"), Finding("lag", "c", "look"), Finding("disk", "1 GB")]
    lines = [line for line in doctor.report(found, every=False) if line[:3] != "-  "]
    assert [line.split(maxsplit=2)[2] for line in lines[:3]] == ["1 GB", "2 of 3 are fine; --all shows them", "c"]
    assert lines[3] == "    → look"
    assert len(list(doctor.report(found, every=True))) == len(doctor.CHECKS) + 3
    assert len(list(doctor.report([], every=False))) == len(doctor.CHECKS)


def test_ports_in_use_are_named_with_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"port {port} \(router\).*PORT_BASE="):
            claim_ports({"router": port})
