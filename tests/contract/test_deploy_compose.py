"""The compose file and the Dockerfile: names, ports, images and commands as in the settings and the command line."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fenliu.chassis.settings import describe
from fenliu.cli.home import PORT_OFFSETS, SERVICES
from fenliu.cli.services import settings_class

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
Compose = dict[str, Any]


@pytest.fixture(scope="module")
def compose() -> Compose:
    loaded: Compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return loaded


def stages(dockerfile: str) -> dict[str, str]:
    """The Dockerfile's text by stage."""
    parts = re.split(r"^FROM \S+ AS (\w+)$", dockerfile, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def violations(compose: Compose, dockerfile: str) -> Iterator[str]:
    """Our own rules; each has a mutation below that breaks it."""
    built = stages(dockerfile)
    known = {row[kind] for name in SERVICES for row in describe(settings_class(name)) for kind in ("name", "shared")}
    for name, service in compose["services"].items():
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"{name}: {port} is open to the network"
        if "build" in service:
            if service["build"]["target"] not in built:
                yield f"{name}: the Dockerfile has no such target"
            if not service.get("read_only") or service.get("cap_drop") != ["ALL"]:
                yield f"{name}: can write, or holds capabilities"
            for variable in service["environment"]:
                if variable.startswith("FENLIU_") and variable not in known:
                    yield f"{name}: nobody reads {variable}"
        elif ":" not in service["image"] or service["image"].endswith(":latest"):
            yield f"{name}: no image version"
    for name in SERVICES:
        yield from service_violations(name, compose["services"].get(name, {}), built)


def service_violations(name: str, service: Compose, built: dict[str, str]) -> Iterator[str]:
    port = str(8000 + PORT_OFFSETS[name])
    environment = service.get("environment", {})
    if (
        environment.get(f"FENLIU_{name.upper()}_HTTP_PORT") != port
        or f"127.0.0.1:{port}:{port}" not in service["ports"]
    ):
        yield f"{name}: not on port {port}"
    if f"FENLIU_{name.upper()}_HTTP_PORT={port}" not in built[name] or f"EXPOSE {port}" not in built[name]:
        yield f"{name}: the Dockerfile has another port"
    if service.get("command") != ["run", name] or f'CMD ["run", "{name}"]' not in built[name]:
        yield f"{name}: runs something else"
    required = {row["shared"] for row in describe(settings_class(name)) if row["default"] == "required"}
    required |= {"FENLIU_KAFKA_BOOTSTRAP"} | (
        {f"FENLIU_{name.upper()}_DATABASE_URL"} if name != "classifier" else set()
    )
    if not required <= set(environment):
        yield f"{name}: lacks {required - set(environment)}"
    if f":{port}/readyz" not in str(service.get("healthcheck")):
        yield f"{name}: nobody asks whether it is ready"
    if service.get("depends_on", {}).get("migrate", {}).get("condition") != "service_completed_successfully":
        yield f"{name}: starts before the migrations are done"


def test_compose_keeps_our_rules(compose: Compose) -> None:
    assert list(violations(compose, DOCKERFILE)) == []


def test_compose_has_every_part(compose: Compose) -> None:
    parts = {*SERVICES, "kafka", "postgres", "migrate", "prometheus", "grafana"}
    assert set(compose["services"]) == parts


MUTATIONS: dict[str, Callable[[Compose], object]] = {
    "open to the network": lambda services: services["kafka"].update(ports=["8092:8092"]),
    "no such target": lambda services: services["intake"]["build"].update(target="intak"),
    "can write": lambda services: services["intake"].pop("read_only"),
    "nobody reads": lambda services: services["intake"]["environment"].update(FENLIU_INTAKE_KAFKA="x"),
    "no image version": lambda services: services["grafana"].update(image="grafana/grafana"),
    "not on port": lambda services: services["router"]["environment"].update(FENLIU_ROUTER_HTTP_PORT="8080"),
    "runs something else": lambda services: services["router"].update(command=["run", "intake"]),
    "lacks": lambda services: services["router"]["environment"].pop("FENLIU_ROUTER_DATABASE_URL"),
    "is ready": lambda services: services["router"].pop("healthcheck"),
    "migrations": lambda services: services["router"].pop("depends_on"),
}


@pytest.mark.parametrize("what", MUTATIONS)
def test_compose_rules_find_the_mutation(what: str, compose: Compose) -> None:
    mutated = copy.deepcopy(compose)
    MUTATIONS[what](mutated["services"])
    assert any(what in violation for violation in violations(mutated, DOCKERFILE))


def test_compose_rules_find_another_port_in_the_dockerfile(compose: Compose) -> None:
    assert any("another port" in v for v in violations(compose, DOCKERFILE.replace("EXPOSE 8003", "EXPOSE 80")))


def test_dockerfile_runs_nobody_as_root_and_installs_by_hash() -> None:
    built = stages(DOCKERFILE)
    assert "USER 10001:10001" in built["fenliu"]
    assert "--require-hashes" in built["build"]
    assert not any("USER" in text for name, text in built.items() if name != "fenliu")


def test_compose_mounted_files_exist(compose: Compose) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith("./") or (ROOT / source).exists(), source
