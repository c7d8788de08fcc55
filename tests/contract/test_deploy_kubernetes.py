"""The kustomize base: valid against the API's schemas, names and ports as in the settings, and our own rules."""

from __future__ import annotations

import copy
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from fenliu.chassis.settings import describe
from fenliu.cli.home import PORT_OFFSETS, SERVICES
from fenliu.cli.services import settings_class

ROOT = Path(__file__).resolve().parents[2]
Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed, so the base cannot be put together")
    command = ["kubectl", "kustomize", str(ROOT / "deploy/k8s/base")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def known_variables() -> set[str]:
    """Every environment variable that some service reads."""
    return {row[kind] for name in SERVICES for row in describe(settings_class(name)) for kind in ("name", "shared")}


def workloads(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest, Manifest]]:
    """Name, manifest and pod of every Deployment and Job."""
    for manifest in manifests:
        if manifest["kind"] in ("Deployment", "Job"):
            yield manifest["metadata"]["name"], manifest, manifest["spec"]["template"]["spec"]


def violations(manifests: list[Manifest]) -> Iterator[str]:
    """Our own rules; each has a mutation below that breaks it."""
    budgets = {
        m["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"]
        for m in manifests
        if m["kind"] == "PodDisruptionBudget"
    }
    policies = {m["metadata"]["name"] for m in manifests if m["kind"] == "NetworkPolicy"}
    if "deny-all" not in policies:
        yield "network: nothing denies by default"
    for name, manifest, pod in workloads(manifests):
        yield from pod_violations(name, pod)
        if manifest["kind"] == "Deployment":
            yield from service_violations(name, manifest, pod)
            if name not in budgets:
                yield f"{name}: no PodDisruptionBudget"
    for manifest in manifests:
        if manifest["metadata"].get("labels", {}).get("app.kubernetes.io/part-of") != "fenliu":
            yield f"{manifest['metadata']['name']}: not labelled as part of fenliu"
        if manifest["kind"] == "Secret":
            yield f"{manifest['metadata']['name']}: a secret in the repository"


def pod_violations(name: str, pod: Manifest) -> Iterator[str]:
    if not pod["securityContext"].get("runAsNonRoot") or pod["securityContext"].get("runAsUser") != 10001:
        yield f"{name}: runs as root"
    if pod.get("automountServiceAccountToken") is not False:
        yield f"{name}: holds a token of the cluster"
    for container in pod["containers"]:
        context = container.get("securityContext", {})
        if not context.get("readOnlyRootFilesystem"):
            yield f"{name}: can write to its root file system"
        if context.get("allowPrivilegeEscalation") is not False or context.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{name}: can gain privileges"
        if not container["resources"].get("requests") or "memory" not in container["resources"].get("limits", {}):
            yield f"{name}: no requests or no memory limit"
        if container["image"].endswith(":latest") or ":" not in container["image"]:
            yield f"{name}: no image version"
        for variable in container["env"]:
            if variable["name"] not in known_variables():
                yield f"{name}: nobody reads {variable['name']}"
            if variable["name"].endswith(("_KEY", "_URL", "_BOOTSTRAP", "_PASSWORD")) and "value" in variable:
                yield f"{name}: {variable['name']} is written down"


def service_violations(name: str, manifest: Manifest, pod: Manifest) -> Iterator[str]:
    container = pod["containers"][0]
    probes = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    for probe, path in probes.items():
        if container.get(probe, {}).get("httpGet", {}).get("path") != path:
            yield f"{name}: {probe} does not ask {path}"
    port = 8000 + PORT_OFFSETS[name]
    values = {variable["name"]: variable.get("value") for variable in container["env"]}
    if container["ports"][0]["containerPort"] != port or values[f"FENLIU_{name.upper()}_HTTP_PORT"] != str(port):
        yield f"{name}: not on port {port}"
    required = {row["shared"] for row in describe(settings_class(name)) if row["default"] == "required"}
    if name != "classifier":
        required.add(f"FENLIU_{name.upper()}_DATABASE_URL")
    if not required | {"FENLIU_KAFKA_BOOTSTRAP"} <= set(values):
        yield f"{name}: lacks {required - set(values)}"
    if container["args"] != ["run", name] or not container["image"].split(":")[0].endswith(f"fenliu-{name}"):
        yield f"{name}: runs something else"
    if pod["terminationGracePeriodSeconds"] < float(values.get("FENLIU_DRAIN_S") or 0) + 30:
        yield f"{name}: is killed before it has stopped"
    if manifest["spec"]["replicas"] < 2:
        yield f"{name}: one replica cannot be drained without an outage"


def test_kubernetes_base_is_valid_for_the_api(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        kubernetes_validate.validate(manifest, "1.32", strict=True)


def test_kubernetes_validation_unknown_field_is_refused(manifests: list[Manifest]) -> None:
    broken = copy.deepcopy(next(m for m in manifests if m["kind"] == "Deployment"))
    broken["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, "1.32", strict=True)


def test_kubernetes_base_has_every_service_and_the_migration(manifests: list[Manifest]) -> None:
    assert {name for name, *_ in workloads(manifests)} == {*SERVICES, "migrate"}


def test_kubernetes_base_keeps_our_rules(manifests: list[Manifest]) -> None:
    assert list(violations(manifests)) == []


def _container(pod: Manifest) -> Manifest:
    found: Manifest = pod["containers"][0]
    return found


MUTATIONS: dict[str, Callable[[Manifest], object]] = {
    "runs as root": lambda pod: pod["securityContext"].pop("runAsNonRoot"),
    "holds a token": lambda pod: pod.pop("automountServiceAccountToken"),
    "root file system": lambda pod: _container(pod)["securityContext"].pop("readOnlyRootFilesystem"),
    "gain privileges": lambda pod: _container(pod)["securityContext"].pop("capabilities"),
    "no memory limit": lambda pod: _container(pod)["resources"].pop("limits"),
    "no image version": lambda pod: _container(pod).update(image="registry.example/fenliu-intake"),
    "nobody reads": lambda pod: _container(pod)["env"].append({"name": "FENLIU_INTAKE_HTPP_PORT", "value": "1"}),
    "written down": lambda pod: _container(pod)["env"].append({"name": "FENLIU_TOKEN_KEY", "value": "x"}),
    "readinessProbe does not ask": lambda pod: _container(pod).pop("readinessProbe"),
    "not on port": lambda pod: _container(pod)["ports"][0].update(containerPort=80),
    "lacks": lambda pod: _container(pod)["env"].pop(-2),
    "runs something else": lambda pod: _container(pod).update(args=["run", "router"]),
    "killed before": lambda pod: pod.update(terminationGracePeriodSeconds=10),
}


@pytest.mark.parametrize("what", MUTATIONS)
def test_kubernetes_rules_find_the_mutation(what: str, manifests: list[Manifest]) -> None:
    mutated = copy.deepcopy(manifests)
    MUTATIONS[what](next(pod for name, _, pod in workloads(mutated) if name == "intake"))
    assert any(what in violation for violation in violations(mutated))


@pytest.mark.parametrize(
    ("kind", "what"), [("PodDisruptionBudget", "no PodDisruptionBudget"), ("NetworkPolicy", "denies")]
)
def test_kubernetes_rules_find_the_missing_manifest(kind: str, what: str, manifests: list[Manifest]) -> None:
    rest = [manifest for manifest in manifests if manifest["kind"] != kind]
    assert any(what in violation for violation in violations(rest))


def test_kubernetes_rules_find_a_written_secret_and_a_missing_label(manifests: list[Manifest]) -> None:
    secret = {"kind": "Secret", "metadata": {"name": "fenliu"}}
    found = list(violations([*manifests, secret]))
    assert any("a secret in the repository" in violation for violation in found)
    assert any("not labelled" in violation for violation in found)
