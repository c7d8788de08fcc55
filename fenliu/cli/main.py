"""`fenliu`: starts the services and looks into a running platform. No logic here; each command is a module beside it.

What a command needs is imported when it runs: the whole program would take seconds to import, `--help` must not.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from fenliu.chassis.errors import FenliuError
from fenliu.cli import learning, models
from fenliu.cli.classify import classify
from fenliu.cli.fail import fail
from fenliu.cli.home import (
    HIGHEST_PORT_BASE,
    LOWEST_PORT_BASE,
    SERVICES,
    BadPortBase,
    Home,
    NoKey,
    current_home,
)
from fenliu.cli.simulate import app as simulate

app = typer.Typer(
    help="Fenliu (分流): ticket routing for online shops.", no_args_is_help=True, pretty_exceptions_enable=False
)
db = typer.Typer(help="Databases of the services.", no_args_is_help=True)
topics = typer.Typer(help="Topics of the catalogue (proto/topics.yaml).", no_args_is_help=True)
dlq = typer.Typer(help="Dead letters: records that no service could handle.", no_args_is_help=True)
config = typer.Typer(help="Settings of the services.", no_args_is_help=True)
classifier = typer.Typer(help="The classifier's model: versions, promotion, feedback.", no_args_is_help=True)
app.add_typer(db, name="db")
app.add_typer(topics, name="topics")
app.add_typer(dlq, name="dlq")
app.add_typer(config, name="config")
app.add_typer(classifier, name="classifier")
app.add_typer(simulate, name="simulate")
app.command()(classify)
classifier.command()(learning.train)
classifier.command()(learning.evaluate)
classifier.command()(models.promote)
classifier.command()(models.rollback)
classifier.command()(models.versions)


Bootstrap = Annotated[
    str,
    typer.Option(
        "--bootstrap",
        envvar="FENLIU_KAFKA_BOOTSTRAP",
        help="Kafka brokers, host:port, comma separated. Default: the embedded broker.",
    ),
]
Service = Annotated[str, typer.Argument(help=f"One of {', '.join(SERVICES)}.")]


def _known_service(name: str) -> str:
    if name not in SERVICES:
        fail(f"There is no service {name}. Services: {', '.join(SERVICES)}.")
    return name


def _bootstrap(given: str) -> str:
    return given or _home().bootstrap


def _home() -> Home:
    try:
        return current_home()
    except BadPortBase as error:
        fail(error)


@app.command()
def up(
    port_base: Annotated[
        int,
        typer.Option(
            min=LOWEST_PORT_BASE,
            max=HIGHEST_PORT_BASE,
            envvar="PORT_BASE",
            help="All ports start here; the services are at +1 to +4.",
        ),
    ] = 8000,
    home: Annotated[Path, typer.Option(envvar="FENLIU_HOME", help="Folder for data, keys and logs.")] = Path(".fenliu"),
    sample: Annotated[
        bool,
        typer.Option("--sample/--no-sample", envvar="SAMPLE", help="A team and sample messages, or an empty stack."),
    ] = True,
    every: Annotated[float, typer.Option(min=0.01, help="Seconds between two sample messages.")] = 1.0,
    prometheus: Annotated[bool, typer.Option(help="Also start Prometheus where the binary is installed.")] = True,
) -> None:
    """Start everything on this machine for a first look: broker, four services, a demo tenant at work."""
    from rich.console import Console

    from fenliu.cli import supervise
    from fenliu.cli import up as module

    _quiet_client()
    options = module.Options(sample=sample, every_s=every, prometheus=prometheus)
    try:
        asyncio.run(module.up(Home(home, port_base), options, Console()))
    except (supervise.PortTaken, supervise.ChildDied, supervise.NotReady, FenliuError) as error:
        fail(error)


@app.command()
def run(
    service: Service,
    supervised: Annotated[bool, typer.Option(hidden=True, help="Stop when standard input ends.")] = False,
) -> None:
    """Run one service in the foreground. Settings come from FENLIU_<SERVICE>_… (docs/configuration.md)."""
    from fenliu.chassis.settings import BadSettings
    from fenliu.cli import guard, services

    if supervised:
        guard.when_orphaned(guard.terminate_self)
    try:
        services.run(_known_service(service))
    except (BadSettings, FenliuError) as error:
        fail(error)


@app.command()
def token(
    tenant: Annotated[str, typer.Option(help="Tenant (shop) that the token is for.")] = "demo",
    role: Annotated[list[str], typer.Option(help="Role; may be repeated.")] = ["storefront"],  # noqa: B006
    subject: Annotated[str, typer.Option(help="Customer id, agent id, or a name for an integration.")] = "cli",
    ttl: Annotated[str, typer.Option(help="Lifetime: 90s, 15m, 12h, 30d.")] = "12h",
) -> None:
    """Print an API token, alone. Signed with FENLIU_TOKEN_KEY, else with the key of the embedded home."""
    from fenliu.chassis.auth import Tokens
    from fenliu.chassis.clock import SystemClock
    from fenliu.cli.home import token_key

    try:
        lifetime = parse_ttl(ttl)
        print(Tokens(token_key()).issue(tenant, role, subject, lifetime.total_seconds(), SystemClock().now()))
    except (NoKey, BadPortBase, ValueError) as error:
        fail(error)


def parse_ttl(text: str) -> timedelta:
    """`90s`, `15m`, `12h`, `30d` as a span. Raises ValueError."""
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.isdigit() or int(number) == 0:
        raise ValueError(f"{text} is no lifetime; write 90s, 15m, 12h or 30d")
    return timedelta(**{units[unit]: int(number)})


@db.command("upgrade")
def db_upgrade(service: Annotated[str, typer.Argument(help="One service; none: all with a database.")] = "") -> None:
    """Bring a service's database to the newest schema: the one that the environment names, else that of `fenliu up`."""
    from fenliu.chassis.settings import BadSettings
    from fenliu.cli import database

    chosen = [_known_service(service)] if service else [name for name in SERVICES if name != "classifier"]
    for name in chosen:
        try:
            database.upgrade(name)
        except (BadSettings, FenliuError, database.NoDatabase) as error:
            fail(error)
        print(f"{name}: newest schema")


@topics.command("apply")
def topics_apply(bootstrap: Bootstrap = "") -> None:
    """Create the catalogue's topics and dead-letter topics that do not exist yet."""
    from fenliu.cli import catalogue

    _run(catalogue.apply(_bootstrap(bootstrap)))


@topics.command("list")
def topics_list(bootstrap: Bootstrap = "") -> None:
    """Show every topic of the catalogue, whether it exists, and how far its consumers are."""
    from fenliu.cli import catalogue

    _run(catalogue.show(_bootstrap(bootstrap)))


@dlq.command("list")
def dlq_list(topic: Annotated[str, typer.Argument(help="Topic; none: all.")] = "", bootstrap: Bootstrap = "") -> None:
    """List dead letters: where each came from and why it died."""
    from fenliu.cli import letters

    _run(letters.show_all(_bootstrap(bootstrap), topic))


@dlq.command("show")
def dlq_show(
    topic: Annotated[str, typer.Argument(help="Topic that the record was for.")],
    offset: Annotated[int, typer.Argument(help="Offset in the dead-letter topic, from `dlq list`.")],
    bootstrap: Bootstrap = "",
) -> None:
    """Show one dead letter in full, decoded where possible."""
    from fenliu.cli import letters

    _run(letters.show_one(_bootstrap(bootstrap), topic, offset))


@dlq.command("replay")
def dlq_replay(
    topic: Annotated[str, typer.Argument(help="Topic that the records were for.")],
    offset: Annotated[list[int] | None, typer.Option(help="Only this dead letter; may be repeated.")] = None,
    bootstrap: Bootstrap = "",
) -> None:
    """Send dead letters to their topic again, original bytes and headers. Handling a record twice has one effect."""
    from fenliu.cli import letters

    _run(letters.replay(_bootstrap(bootstrap), topic, offset or []))


@app.command()
def tail(
    topic: Annotated[str, typer.Argument(help="Topic of the catalogue, or its dead-letter topic.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    from_start: Annotated[bool, typer.Option(help="Begin with the oldest record.")] = False,
    to_end: Annotated[bool, typer.Option(help="Stop at the present end.")] = False,
    bootstrap: Bootstrap = "",
) -> None:
    """Print the records of a topic as they come, decoded."""
    from fenliu.cli import records

    _run(records.tail(_bootstrap(bootstrap), topic, as_json=json, from_start=from_start, to_end=to_end))


@app.command()
def publish(
    topic: Annotated[str, typer.Argument(help="Topic of the catalogue.")],
    file: Annotated[Path, typer.Argument(help="JSON lines, one event each; - reads standard input.")],
    bootstrap: Bootstrap = "",
) -> None:
    """Publish events from a file, as an outside system would. docs/events.md has a line for every event."""
    from fenliu.cli import records

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file} cannot be read: {error}")
    _run(records.publish(_bootstrap(bootstrap), topic, text))


@app.command()
def explain(
    ticket: Annotated[str, typer.Argument(help="Id of a ticket.")],
    tenant: Annotated[str, typer.Option(help="Tenant (shop) of the ticket.")] = "demo",
) -> None:
    """Tell why a ticket is where it is: every change, and why it was given to whom."""
    import os

    from fenliu.chassis.auth import Tokens
    from fenliu.chassis.clock import SystemClock
    from fenliu.cli import explain as module
    from fenliu.cli.home import token_key

    try:
        key = Tokens(token_key()).issue(tenant, ["supervisor"], "cli", 60.0, SystemClock().now())
        url = os.environ.get("FENLIU_ROUTER_URL") or _home().url("router")
        print("\n".join(module.told(module.fetch(url, key, ticket))))
    except (NoKey, BadPortBase, module.NoStory) as error:
        fail(error)


@app.command()
def doctor(
    every: Annotated[bool, typer.Option("--all", help="Also show, one by one, what is fine.")] = False,
) -> None:
    """Check Python, disk, services, databases, clocks, broker, topics, lag and dead letters, and say what to do."""
    from fenliu.cli import doctor as module

    _quiet_client()
    healthy = asyncio.run(module.examine(_home(), every=every))
    raise typer.Exit(0 if healthy else 1)


@classifier.command("export-feedback")
def classifier_export_feedback(
    out: Annotated[Path, typer.Option("--out", help="File to write; an existing one is replaced.")],
    tenant: Annotated[str, typer.Option(help="Tenant (shop) whose corrections are exported.")] = "demo",
    intake: Annotated[str, typer.Option("--intake", help="Address of intake. Default: the embedded stack's.")] = "",
) -> None:
    """Write corrections by people as training rows: JSON lines with text (masked), category, tier, complexity, source.

    One row per ticket, with its newest labels. Signed with the same key as `fenliu token`.
    """
    from fenliu.cli import feedback

    try:
        count = feedback.export(out, tenant, intake or _home().url("intake"))
    except (NoKey, BadPortBase, feedback.Unanswered) as error:
        fail(error)
    except OSError as error:
        fail(f"{out} cannot be written: {error.strerror}.")
    print(f"{out}: {count} texts that people labelled")


@config.command("show")
def config_show(service: Annotated[str, typer.Argument(help="One service; none: all.")] = "") -> None:
    """Print the effective settings, secrets starred out; without keys in the environment, those of `fenliu up`."""
    from fenliu.chassis.settings import BadSettings, redacted
    from fenliu.cli import services

    for name in [_known_service(service)] if service else SERVICES:
        try:
            values = redacted(services.effective(name, _home()))
        except BadSettings as error:
            fail(error)
        for field, value in values.items():
            print(f"{name + '.' if not service else ''}{field} = {value}")


def _quiet_client() -> None:
    """Keep the Kafka client's own complaints away: what failed is said once, in words for a person."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def _run(work: object) -> None:
    from fenliu.chassis.messaging.kafka import KafkaUnavailable
    from fenliu.cli.wire import UnknownTopic, Unreadable

    _quiet_client()
    try:
        asyncio.run(work)  # type: ignore[arg-type]
    except KafkaUnavailable as error:
        fail(
            f"The broker does not answer ({type(error.__cause__).__name__}). Start it (make up), or name another one: "
            "--bootstrap HOST:PORT or FENLIU_KAFKA_BOOTSTRAP; PORT_BASE where the stack runs on other ports."
        )
    except (FenliuError, UnknownTopic, Unreadable) as error:
        fail(error)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    app()
