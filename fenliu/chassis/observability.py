"""Structured logs and the catalogue of metrics.

    tickets_received = counter(
        "fenliu_intake_tickets_received_total", "Tickets accepted.", reaction="…", labels={"channel": CHANNELS}
    )
    tickets_received.inc(channel="web")

Every metric is declared once in a `metrics.py` with a sentence and what to do when it moves; `docs/metrics.md` is
generated from the catalogue. Label values come from closed sets, never ids; a value outside its set counts as "other".
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Collection, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, Literal

import orjson
import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry()
"""What `/metrics` shows."""

ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

OTHER = "other"
"""Label value for everything outside a closed set."""

FAST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0)
"""Seconds, for requests and steps: one millisecond to one minute."""

SLOW_BUCKETS = (
    0.01,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.0,
    5.0,
    15.0,
    60.0,
    300.0,
    900.0,
    1800.0,
    3600.0,
    7200.0,
    14400.0,
    43200.0,
)
"""Seconds, for waiting: ten milliseconds to twelve hours, the service levels (30 min, 2 h, 4 h) among the edges."""

Labels = Mapping[str, Collection[str] | None]
"""Label name → its closed set; None where the set is closed by construction (route templates, names of loops)."""


REQUEST_ID: ContextVar[str] = ContextVar("fenliu_request_id", default="")
"""Set by the HTTP guard; empty outside of requests. Every log line of a request carries it."""


@dataclass(frozen=True)
class Metric:
    """One entry of the catalogue. unit is the last word of the name; `reaction` says what to do when it moves."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    sentence: str
    reaction: str
    labels: Labels


CATALOGUE: dict[str, Metric] = {}
"""Every metric that this process declared, by name."""


COUNTED_FROM_ZERO = 30
"""A counter with at most so many combinations of labels shows all of them from the start, so that `increase` sees the
first event of each. With more, a combination appears with its first event."""


class CounterMetric:
    """Something that only grows. Children are resolved once per combination of labels."""

    def __init__(self, declared: Metric) -> None:
        self.declared = declared
        self._metric = Counter(declared.name, declared.sentence, list(declared.labels), registry=REGISTRY)
        self._children: dict[tuple[str, ...], Counter] = {}
        allowed = [slugs or () for slugs in declared.labels.values()]
        if allowed and 0 < prod(map(len, allowed)) <= COUNTED_FROM_ZERO:
            for values in product(*allowed):
                self.labels(**dict(zip(declared.labels, values, strict=True)))

    def labels(self, **labels: str) -> Counter:
        """The child for these labels, to keep where it is counted often."""
        child: Counter = _child(self, labels)
        return child

    def inc(self, amount: float = 1, **labels: str) -> None:
        """Add `amount` >= 0."""
        _child(self, labels).inc(amount)

    def value(self, **labels: str) -> float:
        """The present count; for tests and status pages."""
        return float(_child(self, labels)._value.get())


class GaugeMetric:
    """Something that goes up and down."""

    def __init__(self, declared: Metric) -> None:
        self.declared = declared
        self._metric = Gauge(declared.name, declared.sentence, list(declared.labels), registry=REGISTRY)
        self._children: dict[tuple[str, ...], Gauge] = {}

    def labels(self, **labels: str) -> Gauge:
        """The child for these labels."""
        child: Gauge = _child(self, labels)
        return child

    def set(self, value: float, **labels: str) -> None:
        """Set it to `value`."""
        _child(self, labels).set(value)

    def inc(self, amount: float = 1, **labels: str) -> None:
        """Add `amount`."""
        _child(self, labels).inc(amount)

    def dec(self, amount: float = 1, **labels: str) -> None:
        """Take `amount` away."""
        _child(self, labels).dec(amount)

    def set_function(self, read: Callable[[], float], **labels: str) -> None:
        """Ask `read` whenever `/metrics` is read; it must be quick and must not raise."""
        _child(self, labels).set_function(read)

    def value(self, **labels: str) -> float:
        """The present value; for tests and status pages."""
        return float(_child(self, labels)._value.get())


class HistogramMetric:
    """How something is distributed."""

    def __init__(self, declared: Metric, buckets: tuple[float, ...]) -> None:
        self.declared = declared
        self._metric = Histogram(
            declared.name, declared.sentence, list(declared.labels), registry=REGISTRY, buckets=buckets
        )
        self._children: dict[tuple[str, ...], Histogram] = {}

    def labels(self, **labels: str) -> Histogram:
        """The child for these labels."""
        child: Histogram = _child(self, labels)
        return child

    def observe(self, value: float, **labels: str) -> None:
        """Count one value, in the metric's unit."""
        _child(self, labels).observe(value)


def _child(metric: Any, labels: Mapping[str, str]) -> Any:
    if not labels and not metric.declared.labels:
        return metric._metric
    key = tuple(labels.values())
    child = metric._children.get((*labels, *key))
    if child is None:
        child = metric._children[(*labels, *key)] = metric._metric.labels(**_closed(metric.declared, labels))
    return child


def _closed(declared: Metric, labels: Mapping[str, str]) -> dict[str, str]:
    if set(labels) != set(declared.labels):
        raise ValueError(f"{declared.name} takes the labels {sorted(declared.labels)}, not {sorted(labels)}")
    closed: dict[str, str] = {}
    for name, value in labels.items():
        allowed = declared.labels[name]
        closed[name] = value if allowed is None or value in allowed else OTHER
    return closed


def counter(name: str, sentence: str, *, reaction: str, labels: Labels | None = None) -> CounterMetric:
    """Declare a counter; its name ends in `_total`."""
    return CounterMetric(_declare(name, "counter", sentence, reaction, labels))


def gauge(name: str, sentence: str, *, reaction: str, labels: Labels | None = None) -> GaugeMetric:
    """Declare a gauge; its name ends in its unit, such as `_seconds`, `_records`, `_tickets`."""
    return GaugeMetric(_declare(name, "gauge", sentence, reaction, labels))


def histogram(
    name: str,
    sentence: str,
    *,
    reaction: str,
    labels: Labels | None = None,
    buckets: tuple[float, ...] = SLOW_BUCKETS,
) -> HistogramMetric:
    """Declare a histogram; its name ends in its unit. buckets: upper edges, in that unit."""
    return HistogramMetric(_declare(name, "histogram", sentence, reaction, labels), buckets)


def _declare(
    name: str, kind: Literal["counter", "gauge", "histogram"], sentence: str, reaction: str, labels: Labels | None
) -> Metric:
    if not name.startswith("fenliu_") or (kind == "counter") != name.endswith("_total"):
        raise ValueError(f"{name}: metrics start with fenliu_, and counters alone end in _total")
    if not sentence or not reaction:
        raise ValueError(f"{name}: say what it counts and what to do when it moves")
    unit = name.removesuffix("_total").rsplit("_", 1)[-1]
    metric = CATALOGUE[name] = Metric(name, kind, unit, sentence, reaction, dict(labels or {}))
    return metric


_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.StackInfoRenderer(),
]

# At import, so that whatever imports a service without starting it (tests, tools) logs through the standard library
# as well; structlog's own default would print the local variables of every frame.
structlog.configure(
    processors=[structlog.stdlib.filter_by_level, *_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)


def configure_logging(service: str, *, level: str = "INFO") -> None:
    """Send every log of the process, also the libraries', through one formatter: one line of JSON, or colours in a tty.

    Only named fields are logged: never bodies, texts or addresses of people.
    """
    tty = sys.stderr.isatty()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _naming(service),
                *(
                    [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
                    if tty
                    else [structlog.processors.format_exc_info, _one_line]
                ),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, quieter in (("uvicorn", logging.WARNING), ("aiokafka", logging.WARNING), ("alembic", logging.WARNING)):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(quieter)


def _naming(service: str) -> structlog.typing.Processor:
    def add(_: Any, __: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
        fields["service"] = service
        request_id = REQUEST_ID.get()
        if request_id:
            fields.setdefault("request_id", request_id)
        return fields

    return add


def _one_line(_: Any, __: str, fields: structlog.typing.EventDict) -> str:
    # JSON escapes line ends and control characters, so no value can start a line of its own.
    return orjson.dumps(fields, default=repr).decode()


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger: `log.info("ticket_assigned", ticket_id=…)`, a constant event in the past tense plus fields."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
