"""The folder of models: promote, roll back, refuse, and what a running service makes of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fenliu.cli.main import app
from services.classifier import metrics
from services.classifier.domain.label import Prediction
from services.classifier.model.current import MAX_TEXTS, CurrentModel
from services.classifier.model.directory import (
    Current,
    NothingToRollBack,
    WorseModel,
    headers,
    promote,
    read_current,
    rollback,
    worse_figures,
)
from services.classifier.model.predict import Predictor
from services.classifier.model.weights import ARTIFACTS, UnusableArtifact
from tests.component.classifier.models import write_version

SHIPPED = read_current(ARTIFACTS).version
RETURN = "我要退货怎么操作"


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """v1, and v2 that says `other` of everything; v2 is a little better by its figures, v1 has more of them."""
    folder = tmp_path_factory.mktemp("versions")
    write_version(folder, "v1", figures={"category_accuracy": 0.91, "simple_called_complex": 0.0})
    write_version(folder, "v2", always="other", figures={"category_accuracy": 0.92})
    return folder


@pytest.fixture
def folder(versions: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(versions, tmp_path / "models"))


def test_promote_makes_a_version_current_and_rollback_returns_to_the_one_before(folder: Path) -> None:
    assert read_current(folder) == Current(SHIPPED), "an empty folder uses the shipped model"
    promote(folder, "v1")
    assert promote(folder, "v2") == read_current(folder) == Current("v2", ("v1", SHIPPED))
    assert promote(folder, "v2") == Current("v2", ("v1", SHIPPED)), "again changes nothing"
    assert rollback(folder) == Current("v1", (SHIPPED,))
    assert rollback(folder) == read_current(folder) == Current(SHIPPED)
    with pytest.raises(NothingToRollBack):
        rollback(folder)
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == [], "no temporary files stay"
    assert (folder / "current.json").stat().st_mode & 0o444 == 0o444, "the service may be another user"


def test_promote_refuses_a_file_that_does_not_load_and_changes_nothing(folder: Path) -> None:
    promote(folder, "v1")
    (folder / "v2.npz").write_bytes((folder / "v2.npz").read_bytes()[:-10])
    for wrong in ("v2", "v3", "../v1", ""):
        with pytest.raises(UnusableArtifact):
            promote(folder, wrong, force=True)
    assert read_current(folder).version == "v1"


def test_promote_refuses_worse_figures_unless_forced(folder: Path) -> None:
    promote(folder, "v2")
    with pytest.raises(WorseModel, match=r"category_accuracy 0\.910 instead of 0\.920"):
        promote(folder, "v1")
    assert read_current(folder).version == "v2"
    assert promote(folder, "v1", force=True).version == "v1"


@pytest.mark.parametrize(
    ("new", "now", "worse"),
    [
        ({"accuracy": 0.90}, {"accuracy": 0.90}, False),
        ({"accuracy": 0.896}, {"accuracy": 0.90}, False),
        ({"accuracy": 0.89}, {"accuracy": 0.90}, True),
        ({"simple_called_complex": 0.03}, {"simple_called_complex": 0.01}, True),
        ({"simple_called_complex": 0.01}, {"simple_called_complex": 0.03}, False),
        ({"zh": {"tier": 0.8, "texts": 10}}, {"zh": {"tier": 0.9, "texts": 900}}, True),
        ({"zh": {"tier": 0.9, "texts": 10, "low": 0.1}}, {"zh": {"tier": 0.9, "texts": 900, "low": 0.8}}, False),
        ({}, {"accuracy": 0.5}, True),
        ({}, {}, False),
        ({"accuracy": 0.1}, {}, False),
    ],
)
def test_worse_figures_compares_what_both_recorded(new: Any, now: Any, *, worse: bool) -> None:
    assert bool(worse_figures({"figures": new}, {"figures": now})) == worse


def test_figures_from_other_texts_are_not_compared_but_refused() -> None:
    now = {"figures": {"accuracy": 0.9}, "held_back": {"zh_written/pass_12": 1155}}
    other = {"figures": {"accuracy": 0.95}, "held_back": {"zh_written/pass_12": 1155, "zh_written/pass_39": 1329}}
    (fault,) = worse_figures(other, now)
    assert "other texts" in fault
    assert worse_figures({**other, "held_back": now["held_back"]}, now) == []


@pytest.mark.parametrize("said", ["", "[]", '{"model_version": 1}', '{"model_version": "../x"}', '{"previous": []}'])
def test_current_json_that_names_no_version_is_refused(folder: Path, said: str) -> None:
    (folder / "current.json").write_text(said)
    with pytest.raises(UnusableArtifact, match="promote"):
        read_current(folder)
    assert promote(folder, "v1") == read_current(folder) == Current("v1"), "promoting repairs it"


@pytest.mark.allows_errors
async def test_current_model_takes_up_what_is_promoted_and_keeps_the_old_one_where_it_is_broken(folder: Path) -> None:
    model = CurrentModel(folder)
    assert (await model.label([RETURN]))[0].model_version == SHIPPED
    promote(folder, "v1")
    switches = metrics.model_switches.value()
    assert await model.step() == 1
    assert metrics.model_switches.value() == switches + 1
    assert (await model.label([RETURN]))[0].model_version == "v1"

    (folder / "v2.npz").write_bytes(b"not a model")
    (folder / "current.json").write_text('{"model_version": "v2"}')
    assert await model.step() == 0
    assert metrics.model_refused.value() == 1
    assert (await model.label([RETURN]))[0].model_version == "v1"

    (folder / "current.json").write_text('{"model_version": "v3"}')
    assert await model.step() == 0
    assert metrics.model_refused.value() == 1
    promote(folder, "v1")
    assert await model.step() == 0
    assert metrics.model_refused.value() == 0


@pytest.mark.allows_errors
async def test_current_model_looks_again_when_a_file_has_grown(folder: Path) -> None:
    model = CurrentModel(folder)
    whole = (folder / "v2.npz").read_bytes()
    (folder / "v2.npz").write_bytes(whole[: len(whole) // 2])
    (folder / "current.json").write_text('{"model_version": "v2"}')
    assert await model.step() == 0
    (folder / "v2.npz").write_bytes(whole)
    assert await model.step() == 1
    assert (await model.label([RETURN]))[0].category == "other"


@pytest.mark.allows_errors
async def test_current_model_refuses_files_changed_under_the_same_version(folder: Path) -> None:
    promote(folder, "v1")
    model = CurrentModel(folder)
    header = json.loads((folder / "v2.json").read_text()) | {"model_version": "v1"}
    (folder / "v1.json").write_text(json.dumps(header))
    shutil.copy(folder / "v2.npz", folder / "v1.npz")
    assert await model.step() == 0
    assert metrics.model_refused.value() == 1
    assert (await model.label([RETURN]))[0].category == "returns_refunds"


@pytest.mark.allows_errors
async def test_current_model_reports_damage_to_the_files_in_use_until_they_are_whole_again(folder: Path) -> None:
    promote(folder, "v1")
    model = CurrentModel(folder)
    assert await model.step() == 0
    whole = (folder / "v1.npz").read_bytes()
    (folder / "v1.npz").write_bytes(whole + b"x")
    await model.step()
    assert metrics.model_refused.value() == 1
    (folder / "v1.npz").write_bytes(whole)
    await model.step()
    assert metrics.model_refused.value() == 0


@pytest.mark.allows_errors
async def test_current_model_broken_at_the_start_labels_with_the_shipped_one(folder: Path) -> None:
    (folder / "current.json").write_text('{"model_version": "v9"}')
    model = CurrentModel(folder)
    assert metrics.model_refused.value() == 1
    assert (await model.label([RETURN]))[0].model_version == SHIPPED
    with pytest.raises(UnusableArtifact):
        CurrentModel(folder, pinned="v9")


async def test_current_model_pinned_does_not_follow_the_folder(folder: Path) -> None:
    model = CurrentModel(folder, pinned="v1")
    promote(folder, "v2")
    assert await model.step() == 0
    assert (await model.label([RETURN]))[0].model_version == "v1"


async def test_label_reads_a_hundred_at_a_time_in_order_with_one_version(predictor: Predictor) -> None:
    sizes: list[int] = []
    model = CurrentModel()

    class Watched:
        weights = predictor.weights

        def predict(self, texts: Sequence[str]) -> list[Prediction]:
            sizes.append(len(texts))
            model.predictor = predictor  # another version is promoted in the middle of the batch
            return predictor.predict(texts)

    model.predictor = Watched()  # type: ignore[assignment]
    found = await model.label([RETURN, "发票怎么开"] * 115)
    assert sizes == [MAX_TEXTS, MAX_TEXTS, 30], "all of it by the model that began"
    assert [one.category for one in found] == ["returns_refunds", "invoice"] * 115


def test_listed_names_every_version_and_the_current_one(folder: Path) -> None:
    promote(folder, "v2")
    (folder / "bad.json").write_text("[")
    assert {name for name, header in headers(folder) if header is None} == {"bad"}
    listed = {header["model_version"]: current for header, current in CurrentModel(folder).listed()}
    assert listed == {SHIPPED: False, "v1": False, "v2": True}


def test_commands_promote_roll_back_and_list(folder: Path) -> None:
    run = CliRunner(env={"FENLIU_CLASSIFIER_MODEL_DIRECTORY": str(folder)}).invoke
    assert run(app, ["classifier", "promote", "v2"]).exit_code == 0
    worse = run(app, ["classifier", "promote", "v1"])
    assert (worse.exit_code, "--force" in worse.output) == (1, True)
    assert run(app, ["classifier", "promote", "v1", "--force"]).exit_code == 0
    listed = run(app, ["classifier", "versions"]).output.splitlines()
    assert [line.split()[:2] for line in listed if line.startswith("*")] == [["*", "v1"]]
    assert any("v2" in line and "0.920" in line for line in listed)
    assert run(app, ["classifier", "rollback"]).exit_code == 0
    assert read_current(folder).version == "v2"
    missing = run(app, ["classifier", "promote", "v7"])
    assert (missing.exit_code, "no model v7" in missing.output) == (1, True)
