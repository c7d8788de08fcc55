"""Every metric of the router."""

from __future__ import annotations

from itertools import product

from fenliu.chassis.observability import FAST_BUCKETS, counter, gauge, histogram
from fenliu.contracts.vocabulary import CATEGORIES, COMPLEXITIES, STATES, TIERS
from services.router.domain.sla import PARTIES, STEPS

_TIERS = (*TIERS, "unlabelled")
_SLUGS = (*CATEGORIES, *TIERS, *COMPLEXITIES)

assigned = counter(
    "fenliu_router_assigned_total",
    "Tickets given or offered to an agent by the dispatcher.",
    reaction="Stands still while tickets wait: look at fenliu_router_lease_held_desks and at who is online.",
    labels={"mode": ("assign", "offer")},
)
time_to_assign = histogram(
    "fenliu_router_time_to_assign_seconds",
    "From acceptance by intake to the first agent, by tier.",
    reaction="Rises: agents are full (fenliu_router_agents_capacity_tickets), or a consumer lags.",
    labels={"tier": _TIERS},
)
lost_races = counter(
    "fenliu_router_decisions_lost_total",
    "Decisions that were not carried out because the ticket or the agent had changed meanwhile.",
    reaction="A steady trickle is normal; a large share of assignments means two dispatchers or a hot ticket.",
)
offers_lapsed = counter(
    "fenliu_router_offers_lapsed_total",
    "Offers that nobody answered in time.",
    reaction="Grows: agents are marked online but not there; check presence_timeout_s.",
)
requeued = counter(
    "fenliu_router_requeued_total",
    "Tickets taken back from agents who went away or offline.",
    reaction="Jumps when a shift ends with open work; a constant stream is a flapping connection of agents.",
)
triaged = counter(
    "fenliu_router_triaged_total",
    "Tickets that were queued for triage, by cause.",
    reaction="`not_labelled` grows: the classifier is away or behind. The others: see fenliu_classifier_reviews_total.",
    labels={"reason": ("needs_review", "unclear", "not_labelled")},
)
corrections = counter(
    "fenliu_router_corrections_total",
    "Labels that a person changed, by label, and by its slug before (none: there was none yet) and after.",
    reaction="The share of fenliu_classifier_texts_total grows: see the runbook of FenliuCorrectionDrift.",
    labels={"label": ("category", "tier", "complexity"), "before": (*_SLUGS, "none"), "after": _SLUGS},
)
for _label, _slugs in (("category", CATEGORIES), ("tier", TIERS), ("complexity", COMPLEXITIES)):
    for _before, _after in product((*_slugs, "none"), _slugs):
        if _before != _after:
            corrections.labels(label=_label, before=_before, after=_after)  # from 0 on, as the chassis does for few
confirmations = counter(
    "fenliu_router_confirmations_total",
    "Tickets whose labels a person looked at and left as they were.",
    reaction="None at all while fenliu_router_corrections_total grows: people report errors only; that is fine.",
)
breaches = counter(
    "fenliu_router_breaches_total",
    "Due times that passed, by tier and clock.",
    reaction="Any urgent one: see the runbook of FenliuServiceLevelBreached.",
    labels={"tier": _TIERS, "clock": ("first_response", "next_response", "resolution")},
)
escalations = counter(
    "fenliu_router_escalations_total",
    "Steps of the escalation ladder that were taken.",
    reaction="`notify` without acknowledgement: GET /v1/routing/escalations names the tickets.",
    labels={"step": STEPS},
)
reminders = counter(
    "fenliu_router_reminders_total",
    "Awaited parties that were reminded, by party.",
    reaction="One party stands out: talk to its owner in sla.toml; GET /v1/routing/awaited lists what it owes.",
    labels={"party": PARTIES},
)
awaited_seconds = counter(
    "fenliu_router_awaited_seconds_total",
    "Seconds that tickets spent on hold, by who was awaited; counted when the hold ends.",
    reaction="Compare parties: the largest share is where customers wait because departments wait.",
    labels={"party": PARTIES},
)
waiting = gauge(
    "fenliu_router_waiting_tickets",
    "Tickets that wait for an agent, by kind of queue and tier. The same on every replica: take the maximum.",
    reaction="Grows for more than some minutes: more agents with the skill of that queue are needed online.",
    labels={"queue": ("general", "triage", "skill"), "tier": _TIERS},
)
oldest_waiting = gauge(
    "fenliu_router_oldest_waiting_seconds",
    "Age of the ticket that waits longest, by tier; 0 where none waits.",
    reaction="Near the first-response target: see the runbook of FenliuOldestWaiting.",
    labels={"tier": _TIERS},
)
open_tickets = gauge(
    "fenliu_router_open_tickets",
    "Tickets that are not over, by state.",
    reaction="`received` grows: the classifier is behind. `on_hold` grows: somebody is awaited who does not answer.",
    labels={"state": STATES},
)
agents_count = gauge(
    "fenliu_router_agents_people",
    "Agents by presence.",
    reaction="Nobody online in working hours: consoles cannot reach the router, or nobody signed in.",
    labels={"presence": ("online", "away", "offline")},
)
agents_capacity = gauge(
    "fenliu_router_agents_capacity_tickets",
    "Places of all agents by presence.",
    reaction="Compare with fenliu_router_agents_load_tickets: where both are equal, everybody is full.",
    labels={"presence": ("online", "away", "offline")},
)
agents_load = gauge(
    "fenliu_router_agents_load_tickets",
    "Tickets that agents own, by presence.",
    reaction="Load of offline agents that stays: the clock does not take work back; look at its log lines.",
    labels={"presence": ("online", "away", "offline")},
)
load_drift = gauge(
    "fenliu_router_load_drift_tickets",
    "Distance between agents' load counters and the tickets that they own. Always 0.",
    reaction="Anything else is a bug: report it with the history of the agent's tickets.",
)
plan_seconds = histogram(
    "fenliu_router_plan_seconds",
    "CPU time of one call of the engine.",
    reaction="Above 20 ms: too many eligibility classes; look for queues with very many distinct requirements.",
    buckets=FAST_BUCKETS,
)
commit_seconds = histogram(
    "fenliu_router_assign_commit_seconds",
    "Duration of the transaction that carries out one plan.",
    reaction="Rises: PostgreSQL is slow, or rows are locked by somebody else.",
    buckets=FAST_BUCKETS,
)
held_desks = gauge(
    "fenliu_router_lease_held_desks",
    "Desks whose lease this process holds.",
    reaction="The sum over replicas must equal the number of desks; 0 everywhere means that nobody assigns.",
)
takeovers = counter(
    "fenliu_router_lease_taken_total",
    "Leases that this process took over.",
    reaction="Grows all the time: replicas take desks from each other; check clocks and database latency.",
)
due_late = histogram(
    "fenliu_router_due_late_seconds",
    "How late the clock acts on due tickets.",
    reaction="Above some seconds: the clock is behind; look at the duration of its steps.",
)
