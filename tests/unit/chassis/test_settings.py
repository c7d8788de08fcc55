"""Settings from the environment."""

from __future__ import annotations

import pytest
from pydantic_settings import SettingsConfigDict

from fenliu.chassis.settings import BadSettings, ServiceSettings, describe, load, redacted

KEY = "settings-test-key-0123456789abcdef0123456789"


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="FENLIU_SMALL_")

    size: int = 3


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FENLIU_TOKEN_KEY", KEY)
    monkeypatch.setenv("FENLIU_SMALL_STATUS_KEY", KEY)


def test_own_variable_wins_over_the_shared_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FENLIU_HTTP_PORT", "1")
    monkeypatch.setenv("FENLIU_KAFKA_BOOTSTRAP", "shared:9092")
    monkeypatch.setenv("FENLIU_SMALL_HTTP_PORT", "2")
    settings = load(Settings)

    assert (settings.http_port, settings.kafka_bootstrap) == (2, "shared:9092")


def test_shared_prefix_serves_common_fields_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FENLIU_SIZE", "9")
    assert load(Settings).size == 3


def test_unknown_variable_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FENLIU_SMALL_HTTP_PROT", "1")
    with pytest.raises(BadSettings, match="FENLIU_SMALL_HTTP_PROT"):
        load(Settings)


def test_every_problem_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FENLIU_TOKEN_KEY")
    monkeypatch.setenv("FENLIU_SMALL_STATUS_KEY", "short-and-secret")
    monkeypatch.setenv("FENLIU_SMALL_HTTP_PORT", "x")
    with pytest.raises(BadSettings) as raised:
        load(Settings)
    message = str(raised.value)

    assert all(name in message for name in ("FENLIU_TOKEN_KEY", "STATUS_KEY", "HTTP_PORT"))
    assert "short-and-secret" not in message


def test_redacted_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FENLIU_SMALL_DATABASE_URL", "postgresql+asyncpg://me:pass@word@db/x")
    shown = redacted(load(Settings))

    assert KEY not in str(shown)
    assert shown["database_url"] == "postgresql+asyncpg://me:********@db/x"


def test_describe_has_a_sentence_for_every_field() -> None:
    rows = describe(Settings)
    assert {row["name"] for row in rows} >= {"FENLIU_SMALL_HTTP_PORT", "FENLIU_SMALL_SIZE"}
    assert all(row["description"] for row in rows if row["name"] != "FENLIU_SMALL_SIZE")
    assert KEY not in str(rows)
