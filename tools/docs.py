"""Writes the generated documents: docs/events.md, metrics.md, configuration.md and docs/openapi/. Run by `make docs`.

python -m tools.docs            write them
python -m tools.docs --check    say which differ, and end with 1
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from fenliu.chassis.http import create_app
from fenliu.chassis.observability import CATALOGUE as METRICS
from fenliu.chassis.observability import Metric
from fenliu.chassis.settings import ServiceSettings, describe
from fenliu.cli.home import SERVICES
from fenliu.cli.services import build, settings_class
from fenliu.contracts.events import EVENT_TYPES
from fenliu.contracts.topics import CATALOGUE, Topic
from tools.proto_comments import comments

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "contract" / "golden"
BOOTSTRAP = "127.0.0.1:$((${PORT_BASE:-8000}+92))"


def documents() -> dict[str, str]:
    """Every generated document by its path from the root."""
    found = {"docs/events.md": events(), "docs/metrics.md": metrics(), "docs/configuration.md": configuration()}
    return found | {f"docs/openapi/{name}.json": openapi(name) for name in SERVICES}


def events() -> str:
    """Topics, their events with every field, and command lines to watch and to send them."""
    said = comments()
    lines = [
        "# Events",
        "",
        "Generated from `proto/` by `make docs`. Do not edit.",
        "",
        "Every record has the headers `ce_id`, `ce_type`, `ce_source`, `ce_time`, `ce_specversion`, `content-type` and "
        "`tenant` (CloudEvents 1.0, binary mode). External systems need only `content-type` and, where the payload has "
        "no tenant, `tenant`; a record that names none belongs to `FENLIU_INTAKE_DEFAULT_TENANT`, or is a dead letter "
        "where that is not set. The command lines talk to `fenliu up`, whose ports count from `PORT_BASE` (8000 where "
        "it is not set); give `kcat -b` and `fenliu --bootstrap` for another broker.",
        "",
        "| topic | key | events | from | to | partitions | kept |",
        "|---|---|---|---|---|---|---|",
    ]
    for topic in CATALOGUE.values():
        names = ", ".join(f"[{name}](#{name.lower()})" for name in topic.events)
        lines.append(
            f"| `{topic.name}` | {topic.key} | {names} | {', '.join(topic.producers)} | {', '.join(topic.consumers)} "
            f"| {topic.partitions} | {topic.retention_h} h |"
        )
    shown: set[str] = set()
    for topic in CATALOGUE.values():
        for name in topic.events:
            lines += ["", f"## {name}", "", *event(topic, EVENT_TYPES[name].DESCRIPTOR, said)]
            shown.add(EVENT_TYPES[name].DESCRIPTOR.full_name)
    for part in parts(shown):
        lines += ["", f"## {part.name}", "", said[part.full_name], "", *fields(part, said)]
    return "\n".join(lines) + "\n"


def event(topic: Topic, descriptor: Descriptor, said: dict[str, str]) -> list[str]:
    sample = json.dumps(json.loads(golden(topic, descriptor.name)), ensure_ascii=False, separators=(",", ":"))
    watch = f"kcat -C -b {BOOTSTRAP} -t {topic.name} -o end -f '%T %k %h %S bytes\\n'"
    lines = [said[descriptor.full_name], "", *fields(descriptor, said), "", "```sh", watch]
    lines.append(f"fenliu tail {topic.name} --json")
    if "json" in topic.formats:
        key = json.loads(sample)[topic.key]
        lines.append(
            f"echo '{sample}' | kcat -P -b {BOOTSTRAP} -t {topic.name} -k {key} "
            "-H content-type=application/json -H tenant=demo"
        )
    wrapped = sample if len(topic.events) == 1 else f'{{"type":"{descriptor.name}","event":{sample}}}'
    return [*lines, f"echo '{wrapped}' | fenliu publish {topic.name} -", "```"]


def golden(topic: Topic, name: str) -> str:
    """The JSON form of an event's first golden sample."""
    return (GOLDEN / topic.name / f"{name}-001.json").read_text(encoding="utf-8")


def fields(descriptor: Descriptor, said: dict[str, str]) -> list[str]:
    rows = ["| field | number | type | meaning |", "|---|---|---|---|"]
    for field in descriptor.fields:
        meaning = said[field.full_name]
        if field.enum_type is not None:
            values = ", ".join(f"`{value.name}`" for value in field.enum_type.values)
            meaning += f" One of {values}."
        rows.append(f"| `{field.name}` | {field.number} | {type_of(field)} | {meaning} |")
    return rows


def type_of(field: FieldDescriptor) -> str:
    names = {
        value: name.removeprefix("TYPE_").lower()
        for name, value in vars(FieldDescriptor).items()
        if name.startswith("TYPE_")
    }
    if field.message_type is not None:
        message = field.message_type
        own = message.full_name.startswith("fenliu.")
        name = f"[{message.name}](#{message.name.lower()})" if own else message.name
    else:
        name = field.enum_type.name if field.enum_type is not None else names[field.type]
    return f"list of {name}" if field.is_repeated else name


def parts(events_shown: Iterable[str]) -> list[Descriptor]:
    """Messages that events consist of, in the order in which they are first met."""
    found: dict[str, Descriptor] = {}

    def visit(descriptor: Descriptor) -> None:
        for field in descriptor.fields:
            part = field.message_type
            if part is not None and part.full_name.startswith("fenliu.") and part.full_name not in found:
                if part.full_name not in events_shown:
                    found[part.full_name] = part
                visit(part)

    for message in EVENT_TYPES.values():
        visit(message.DESCRIPTOR)
    return list(found.values())


def metrics() -> str:
    """Every metric with its sentence and what to do when it moves."""
    for name in SERVICES:
        importlib.import_module(f"services.{name}.main")
    lines = ["# Metrics", "", "Generated from the `metrics.py` files by `make docs`. Do not edit.", ""]
    lines += ["Every service has them at `/metrics`. Labels come from closed sets, never ids."]
    groups = {f"fenliu_{name}_": name.title() for name in SERVICES} | {"fenliu_": "Every service"}
    for prefix, title in reversed(groups.items()):
        own = [metric for name, metric in sorted(METRICS.items()) if group_of(name, groups) == prefix]
        if own:
            lines += [
                "",
                f"## {title}",
                "",
                "| metric | kind | labels | what | when it moves |",
                "|---|---|---|---|---|",
            ]
            lines += [metric_row(metric) for metric in own]
    return "\n".join(lines) + "\n"


def group_of(name: str, prefixes: Iterable[str]) -> str:
    return next(prefix for prefix in prefixes if name.startswith(prefix))


def metric_row(metric: Metric) -> str:
    labels = []
    for name, allowed in metric.labels.items():
        labels.append(f"{name}: {values(sorted(allowed))}" if allowed else name)
    return f"| `{metric.name}` | {metric.kind} | {'; '.join(labels)} | {metric.sentence} | {metric.reaction} |"


def values(allowed: Sequence[str]) -> str:
    """The values of a label; of status codes the first and the last."""
    return f"{allowed[0]} to {allowed[-1]}" if all(map(str.isdigit, allowed)) else ", ".join(allowed)


def configuration() -> str:
    """Every setting with type, default and meaning."""
    lines = [
        "# Configuration",
        "",
        "Generated from the `settings.py` files by `make docs`. Do not edit.",
        "",
        "Settings are environment variables, read once at start; one that is misspelt stops the service with a "
        "message. `fenliu config show SERVICE` prints the effective values without secrets.",
        "",
        "## Every service",
        "",
        "`<SERVICE>` is INTAKE, CLASSIFIER, ROUTER or NOTIFIER. Without it (`FENLIU_KAFKA_BOOTSTRAP`) the value holds "
        "for every service that has none of its own.",
        "",
    ]
    common = set(ServiceSettings.model_fields)
    first = settings_class(SERVICES[0])
    prefix = f"FENLIU_{SERVICES[0].upper()}_"
    shared = [row for row in describe(first) if row["name"].removeprefix(prefix).lower() in common]
    lines += setting_rows([row | {"name": row["name"].replace(prefix, "FENLIU_<SERVICE>_")} for row in shared])
    for name in SERVICES:
        prefix = f"FENLIU_{name.upper()}_"
        own = [row for row in describe(settings_class(name)) if row["name"].removeprefix(prefix).lower() not in common]
        if own:
            lines += ["", f"## {name.title()}", "", *setting_rows(own)]
    return "\n".join(lines) + "\n"


def setting_rows(rows: list[dict[str, str]]) -> list[str]:
    shown = ["| variable | type | default | meaning |", "|---|---|---|---|"]
    for row in rows:
        description = row["description"].replace("|", "\\|")
        default = f"`{row['default']}`" if row["default"] != "required" else "required"
        shown.append(f"| `{row['name']}` | {row['type']} | {default} | {description} |")
    return shown


def openapi(name: str) -> str:
    """The OpenAPI document of a service, as it answers at /openapi.json; nothing is started."""
    with tempfile.TemporaryDirectory() as folder:
        values = {"token_key": "x" * 32, "status_key": "x" * 32}
        if name != "classifier":
            values["database_url"] = f"sqlite+aiosqlite:///{folder}/{name}.db"
        service = build(name, settings_class(name).model_validate(values))
        app = create_app(name, service.settings, service.routers, links=service.links)
        schema = app.openapi()
    schema["info"]["version"] = "v1"  # the package's version is not part of the contract
    return json.dumps(schema, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def main() -> int:
    stale = []
    for path, text in documents().items():
        target = ROOT / path
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            stale.append(path)
            if "--check" not in sys.argv:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
    for path in stale:
        print(f"{'differs' if '--check' in sys.argv else 'written'}: {path}")  # noqa: T201 - a tool's answer
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
