"""The import contracts hold on the tree, and each of them is broken by the bad imports that it is there for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "importlinter.toml"

STUBS = [
    "fenliu/__init__.py",
    "fenliu/cli/main.py",
    "fenliu/masking.py",
    "fenliu/contracts/events.py",
    "fenliu/chassis/service.py",
    "fenliu/chassis/http.py",
    "fenliu/chassis/messaging/consumer.py",
    "fenliu/chassis/migrations.py",
    "fenliu/chassis/worker.py",
    "fenliu/chassis/db.py",
    "fenliu/chassis/settings.py",
    "fenliu/chassis/observability.py",
    "fenliu/chassis/auth.py",
    "fenliu/chassis/clock.py",
    "fenliu/chassis/errors.py",
    "services/__init__.py",
    "services/intake/channels/web.py",
    "services/intake/store.py",
    "services/notifier/transports/webhook.py",
    "services/router/domain/sla.py",
    "services/router/handlers.py",
    "services/router/api.py",
    "services/router/metrics.py",
    "services/router/settings.py",
    "services/router/workers.py",
    "services/classifier/model/predict.py",
    "services/classifier/domain.py",
]

PLANTED = {
    "fenliu/chassis/clock.py": ["services.router.handlers", "fenliu.chassis.db"],
    "fenliu/masking.py": ["fenliu.contracts.events"],
    "fenliu/contracts/events.py": ["fenliu.chassis.errors"],
    "fenliu/chassis/db.py": ["fenliu.chassis.messaging.consumer"],
    "services/router/handlers.py": ["httpx2", "services.router.settings", "services.intake.store"],
    "services/router/api.py": ["services.router.workers"],
    "services/intake/store.py": ["services.intake.channels.web"],
    "services/router/domain/sla.py": ["time", "fenliu.contracts.events", "services.router.metrics", "asyncio"],
    "services/notifier/handlers.py": ["services.notifier.transports.webhook"],
    "services/classifier/domain.py": ["sqlalchemy", "logging"],
    "services/router/utils.py": [],
}


def lint(folder: Path) -> tuple[int, str]:
    """Exit code and output of import-linter on the tree in `folder`."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(Path(sys.executable).parent / "lint-imports"), "--config", str(CONFIG), "--no-cache"]
    done = subprocess.run(
        command, cwd=folder, env=environment | {"NO_COLOR": "1"}, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


def stub_tree(folder: Path, planted: dict[str, list[str]]) -> Path:
    """The layout of the tree with empty modules, and the planted imports."""
    for name in [*STUBS, *planted]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for parent in path.relative_to(folder).parents:
            if str(parent) != ".":
                (folder / parent / "__init__.py").touch()
        path.write_text("".join(f"import {module}\n" for module in planted.get(name, [])))
    return folder


def test_imports_of_the_tree_keep_every_contract() -> None:
    code, output = lint(ROOT)
    assert code == 0, output


def test_imports_stub_tree_without_bad_imports_keeps_every_contract(tmp_path: Path) -> None:
    code, output = lint(stub_tree(tmp_path, {}))
    assert code == 0, output


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> str:
    code, output = lint(stub_tree(tmp_path_factory.mktemp("bad"), PLANTED))
    assert code == 1, output
    return " ".join(output.split())


@pytest.mark.parametrize(
    ("source", "target"),
    [(path.removesuffix(".py").replace("/", "."), target) for path, targets in PLANTED.items() for target in targets],
)
def test_imports_planted_violation_is_found(broken: str, source: str, target: str) -> None:
    assert f"{source} -> {target}" in broken, broken


def test_imports_new_module_name_in_a_service_is_refused(broken: str) -> None:
    assert "not listed as layers: - services.router.utils" in broken, broken


def test_imports_every_contract_is_broken_by_some_planted_import(broken: str) -> None:
    assert " 0 kept" in broken, broken
