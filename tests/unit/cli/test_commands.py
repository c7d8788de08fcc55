"""Commands as a person runs them: what they print, what they say when something is wrong, and their exit codes."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fenliu.chassis.errors import Transient
from fenliu.cli.home import Home
from fenliu.cli.main import app
from fenliu.cli.supervise import ChildDied
from fenliu.cli.up import until_first_failure


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home that `fenliu up` has made, and an environment without keys."""
    for name in ("FENLIU_TOKEN_KEY", "FENLIU_STATUS_KEY", "PORT_BASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FENLIU_HOME", str(tmp_path))
    return Home(tmp_path)


def test_classify_labels_in_order_and_answers_a_bad_line_in_its_place() -> None:
    result = CliRunner().invoke(
        app, ["classify", "-"], input='{"text": "我要退货"}\nx\n\n{"text": "where is my parcel"}\n'
    )
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row.get("language", row.get("line")) for row in rows] == ["zh", 2, "en"]
    assert "Line 2: is not JSON" in result.stderr
    assert result.exit_code == 1


def test_classify_with_a_model_that_does_not_fit_says_so_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "current.json").write_text("{")
    result = CliRunner().invoke(app, ["classify", "-", "--model", str(tmp_path)], input='{"text": "在吗"}\n')
    assert result.exit_code == 2
    assert "cannot be read" in result.stderr


def test_classify_file_that_is_missing_says_so_in_a_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["classify", str(tmp_path / "nothing")])
    assert (result.exit_code, "cannot be read: No such file" in result.stderr) == (2, True)


def test_port_base_that_is_no_number_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.prepare()
    for base in ("eight", "70000"):
        monkeypatch.setenv("PORT_BASE", base)
        for command in (["doctor"], ["token"], ["dlq", "list"]):
            result = CliRunner().invoke(app, command)
            assert result.exit_code == 1
            assert f"PORT_BASE is '{base}'" in result.stderr
        assert CliRunner().invoke(app, ["up"]).exit_code == 2


def test_config_show_without_keys_and_home_names_what_must_be_set(home: Home) -> None:
    result = CliRunner().invoke(app, ["config", "show", "router"])
    assert result.exit_code == 1
    assert "FENLIU_ROUTER_TOKEN_KEY (or FENLIU_TOKEN_KEY) must be set" in result.stderr


def test_config_show_without_keys_shows_the_embedded_home_and_no_secret(home: Home) -> None:
    home.prepare()
    result = CliRunner().invoke(app, ["config", "show"])
    assert result.exit_code == 0
    assert "intake.http_port = 8001" in result.stdout
    assert "notifier.public_intake_url = http://127.0.0.1:8001" in result.stdout
    assert home.key("token") not in result.stdout


def test_schema_is_upgraded_without_signing_keys(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FENLIU_INTAKE_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'named.db'}")
    result = CliRunner().invoke(app, ["db", "upgrade", "intake"])
    assert (result.exit_code, result.stdout) == (0, "intake: newest schema\n")
    assert (tmp_path / "named.db").stat().st_size > 0


def test_schema_that_is_upgraded_without_settings_is_that_of_the_embedded_home(home: Home) -> None:
    named = CliRunner().invoke(app, ["db", "upgrade", "router"])
    assert (named.exit_code, "must be set" in named.stderr) == (1, True)
    home.prepare()
    assert CliRunner().invoke(app, ["db", "upgrade", "router"]).exit_code == 0
    assert (home.path / "router.db").stat().st_size > 0


async def test_first_failure_of_a_dead_child_is_told_before_what_followed_from_it(tmp_path: Path) -> None:
    async def fail(error: Exception) -> None:
        raise error

    died = ChildDied("router", -9, tmp_path / "router.log")
    with pytest.raises(ChildDied, match="router"):
        await until_first_failure([asyncio.create_task(fail(Transient())), asyncio.create_task(fail(died))])


def test_command_without_a_broker_says_where_it_looked_for_one_and_how_to_name_another(home: Home) -> None:
    with socket.socket() as unused:  # bound, not listening: nobody else gets the port, and nobody answers
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        result = CliRunner().invoke(app, ["dlq", "list", "--bootstrap", address])
    assert result.exit_code == 1
    assert "The broker does not answer" in result.stderr
    assert "FENLIU_KAFKA_BOOTSTRAP" in result.stderr
