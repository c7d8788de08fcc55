"""The simulator: the same luck for every policy, traces kept whole, and what the policies are worth on fitted desks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fenliu.cli.main import app
from services.router.domain.policies import BASELINES, POLICIES
from services.router.simulation import bank, desk, measures, plot, synthetic, trace
from services.router.simulation.compare import UnknownPolicy, compare, policy_of, report

CALLS = (
    "vru+line\tcall_id\tcustomer_id\tpriority\ttype\tdate\tvru_entry\tvru_exit\tvru_time\tq_start\tq_exit\tq_time"
    "\toutcome\tser_start\tser_exit\tser_time\tserver\n"
    "A\t1\t7\t2\tPS\t990201\t8:00:00\t8:00:10\t10\t8:00:10\t8:00:40\t30\tAGENT\t8:00:40\t8:02:40\t120\tagent-a\n"
    "A\t2\t0\t0\tPS\t990201\t9:00:00\t9:00:10\t10\t0:00:00\t0:00:00\t0\tAGENT\t9:00:10\t9:01:10\t60\tagent-b\n"
    "A\t3\t0\t1\tNW\t990201\t9:10:00\t9:10:10\t10\t9:10:10\t9:11:10\t60\tHANG\t0:00:00\t0:00:00\t0\tNO_SERVER\n"
    "A\t4\t0\t0\tPS\t990201\t9:20:00\t9:20:10\t10\t0:00:00\t0:00:00\t0\tPHANTOM\t0:00:00\t0:00:00\t0\tNO_SERVER\n"
)


def small(seed: int) -> trace.Trace:
    return synthetic.make(synthetic.Axes(1.1, agents=6, hours=2.0, mislabelled=0.2, decline=0.2, history=5), seed)


def test_same_policy_and_seed_give_the_same_run() -> None:
    assert desk.run(small(1), POLICIES["fenliu"], 1) == desk.run(small(1), POLICIES["fenliu"], 1)


def test_every_policy_meets_the_same_arrivals_work_and_patience() -> None:
    luck = [
        [(fate.arrival, fate.work_s, fate.patience_s) for fate in desk.run(small(2), POLICIES[name], 2).fates]
        for name in ("random", "fenliu", "earliest_deadline")
    ]
    assert luck[0] == luck[1] == luck[2]


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_every_ticket_is_served_when_nobody_gives_up(name: str) -> None:
    run = desk.run(small(3), POLICIES[name], 3)
    assert all(fate.served and fate.wait_s >= 0 for fate in run.fates)
    assert all(fate.label == fate.arrival.category for fate in run.fates)
    assert measures.measure(run)["hand_overs"] > 0


def test_trace_written_and_read_is_the_same(tmp_path: Path) -> None:
    calls = synthetic.call_centre(1, hours=0.5)
    trace.write(tmp_path, calls)
    found = trace.read(tmp_path)
    assert found.arrivals == calls.arrivals
    assert [(duty.agent_id, duty.from_s, duty.until_s) for duty in found.duties] == [
        (duty.agent_id, duty.from_s, duty.until_s) for duty in calls.duties
    ]


def test_trace_with_a_column_missing_says_which(tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").write_text("ticket_id,at_s\nk,1\n")
    with pytest.raises(trace.BadTrace, match="column category is missing"):
        trace.read(tmp_path)


def test_load_above_one_keeps_every_arrival_once_and_copies_some_within_five_minutes() -> None:
    calls = synthetic.call_centre(1, hours=3.0)
    scaled = trace.scale(calls, 1.5, 4)
    assert scaled == trace.scale(calls, 1.5, 4) != trace.scale(calls, 1.5, 5)
    originals = {item.ticket_id: item.at_s for item in calls.arrivals}
    counts = Counter(item.ticket_id.split("+")[0] for item in scaled.arrivals)
    assert set(counts) == set(originals)
    assert set(counts.values()) == {1, 2}
    assert len(scaled.arrivals) / len(originals) == pytest.approx(1.5, abs=0.1)
    shifts = [item.at_s - originals[item.ticket_id.split("+")[0]] for item in scaled.arrivals if "+" in item.ticket_id]
    assert all(-300 <= shift <= 300 for shift in shifts)
    assert min(shifts) < -200
    assert max(shifts) > 200


def test_bank_log_becomes_a_trace(tmp_path: Path) -> None:
    (tmp_path / "log.tsv").write_text(CALLS)
    found = bank.convert(tmp_path / "log.tsv")
    first, second, third = found.arrivals
    assert (first.at_s, first.customer_class, first.patience_s, first.patience_seen) == (28810.0, "vip", 30.0, False)
    assert (second.customer_id, second.at_s) == ("", 32410.0)
    assert (third.work_s, third.patience_s, third.patience_seen) == (None, 60.0, True)
    assert [(duty.agent_id, duty.from_s, duty.until_s) for duty in found.duties] == [
        ("agent-a", 28840.0, 28960.0),
        ("agent-b", 32410.0, 32470.0),
    ]
    assert found.duties[0].skills["PS"] > 1 > found.duties[1].skills["PS"]


def test_calls_of_the_bank_that_share_an_id_stay_apart(tmp_path: Path) -> None:
    (tmp_path / "log.tsv").write_text(CALLS + CALLS.splitlines()[-2] + "\n")
    ids = [arrival.ticket_id for arrival in bank.convert(tmp_path / "log.tsv").arrivals]
    assert len(ids) == len(set(ids)) == 4


def test_gini_of_equals_is_nought_and_of_one_who_has_all_near_one() -> None:
    assert measures.gini([0.5] * 4) == pytest.approx(0.0)  # type: ignore[arg-type]
    assert measures.gini([0.0] * 99 + [1.0]) == pytest.approx(0.99)  # type: ignore[arg-type]


def test_queue_order_after_a_slash_replaces_the_order_alone() -> None:
    policy = policy_of("longest_idle/priority")
    assert policy.rank is POLICIES["longest_idle"].rank
    assert policy.order is POLICIES["strict_priority"].order
    with pytest.raises(UnknownPolicy, match="There is no policy fastest"):
        policy_of("fastest")


def test_fitted_call_centre_default_policy_halves_vip_waits_and_lowers_weighted_cost() -> None:
    """The desk fitted to the bank's log; the log itself is measured in bench/results/policies-bank.json."""
    runs = compare([policy_of("longest_idle"), policy_of("fenliu")], range(1, 6), synthetic.call_centre)
    found = measures.paired(runs, "longest_idle")["fenliu"]

    def over(name: str) -> float:
        return found[name]["mean"] / (found[name]["mean"] - found[name]["minus_base"])

    assert over("wait_mean_s_vip") <= 0.65
    assert over("cost_weighted_wait_s") <= 0.85
    assert over("wait_p95_s") <= 1.12
    assert "fenliu" in report(runs, "longest_idle")
    assert plot.svg(measures.paired(runs, "longest_idle"), "longest_idle", "fitted").startswith("<svg")


def test_stressed_desks_default_policy_keeps_more_promises_than_the_best_rule_of_order() -> None:
    seeds = range(201, 204)
    runs = compare([POLICIES[name] for name in ("earliest_deadline", "fenliu")], seeds, synthetic.stressed)
    tardiness = {name: sum(item["weighted_tardiness_s"] for item in held) for name, held in runs.items()}
    assert tardiness["fenliu"] <= 0.7 * tardiness["earliest_deadline"]
    assert len(BASELINES) == 10


def test_urgent_tickets_are_begun_in_time_at_nominal_load() -> None:
    found = compare([POLICIES["fenliu"]], range(1, 4), lambda seed: synthetic.make(synthetic.Axes(1.05), seed))
    assert all(item["service_level_urgent"] >= 0.995 for item in found["fenliu"])


def test_command_line_converts_compares_and_draws(tmp_path: Path) -> None:
    (tmp_path / "log.tsv").write_text(CALLS)
    run = CliRunner().invoke
    assert run(app, ["simulate", "convert-bank", str(tmp_path / "log.tsv"), str(tmp_path / "t")]).exit_code == 0
    options = ["--trace", str(tmp_path / "t"), "--load", "1.5", "--seeds", "2", "--policies", "longest_idle,fenliu"]
    made = run(app, ["simulate", "compare", *options, "--json", str(tmp_path / "o"), "--plot", str(tmp_path / "o.svg")])
    assert made.exit_code == 0, made.output
    assert (tmp_path / "o.svg").read_text().startswith("<svg")
    assert '"base": "longest_idle"' in (tmp_path / "o").read_text()
    assert run(app, ["simulate", "compare", "--policies", "nonsense"]).exit_code == 1
