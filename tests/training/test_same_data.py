"""A run knows its pictures, boxes and classes, and is not taken for one of other data."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import Compose, tiny_overrides, write_set, write_voc
from tests.helpers_process import run_program
from tests.training.helpers_stop import stop_next_run
from tlx.common.errors import DataError, WeightsError
from tlx.config.schema import RunConfig
from tlx.data.module import build_data
from tlx.evaluate import EvaluateConfig, evaluate
from tlx.records.digest import sealed
from tlx.training.interrupt import Interrupted
from tlx.training.run import run

Change = Callable[[Path], None]


def make_set(folder: Path) -> Path:
    """30 pictures in one folder: all three splits are cut."""
    write_set(folder / "made", {"train": 30})
    (folder / "made" / "train").rename(folder / "set")
    return folder / "set"


@pytest.fixture
def own_set(tmp_path: Path) -> Path:
    return make_set(tmp_path)


def overrides(root: Path) -> list[str]:
    """Train on a set of `make_set` with the default number of loader processes."""
    return [f"data.root={root}", "trainer.workers=1", "trainer.epochs=1",
            "data.val_fraction=0.3", "data.test_fraction=0.3"]  # fmt: skip


@pytest.fixture
def config(tiny_config: Compose, own_set: Path) -> Callable[..., RunConfig]:
    return lambda *more: tiny_config(*overrides(own_set), *more)


def more_pictures(root: Path) -> None:
    for i in range(30):
        pixels = np.random.default_rng(100 + i).integers(0, 255, (80, 96, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"new{i}.png")
        write_voc(root / f"new{i}.png", [("red", (5, 5, 60, 60))])


def another_class(root: Path) -> None:
    (root / "000.xml").write_text((root / "000.xml").read_text().replace("red", "green"))


def renamed_class(root: Path) -> None:
    for path in root.glob("*.xml"):
        path.write_text(path.read_text().replace("blue", "zebra"))


def moved_box(root: Path) -> None:
    for path in sorted(root.glob("*.xml")):
        text = path.read_text()
        place = text.find("<xmax>")
        if place >= 0:
            path.write_text(text[: place + 6] + "9" + text[place + 7 :])


CHANGES: dict[str, tuple[Change, str]] = {
    "more pictures": (more_pictures, "train had .* pictures and has"),
    "another class": (another_class, "the classes were blue, red and are blue, green, red"),
    "renamed class": (renamed_class, "the classes were blue, red and are red, zebra"),
    "moved boxes": (moved_box, "boxes of train are others"),
    "a picture less": (lambda root: (root / "000.png").unlink(), "had .* pictures and has"),
}


def as_made(folder: Path) -> Path:
    """Bring back what a module's fixture has made there: the next test finds it unchanged."""
    kept = folder.with_name(f"{folder.name}-kept")
    if kept.is_dir():
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
    else:
        shutil.copytree(folder, kept)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for a set, an interrupted and a finished run, which are made when asked for."""
    return tmp_path_factory.mktemp("made") / "here"


@pytest.fixture
def with_runs(made: Path, compose_config: Compose) -> tuple[Path, RunConfig, RunConfig]:
    """Set, `interrupted` and `finished` as they were made; the configurations of the two."""
    root = made / "set"
    one, three = (
        compose_config(*tiny_overrides(root, made), *overrides(root), f"trainer.epochs={epochs}")
        for epochs in (1, 3)
    )
    if not made.is_dir():
        made.mkdir()
        make_set(made)
        with pytest.MonkeyPatch.context() as patch:
            stop_next_run(patch, 5)
            with pytest.raises(Interrupted):
                run(three, made / "interrupted")
        run(one, made / "finished")
    return as_made(made), three, one


@pytest.mark.parametrize("name", CHANGES)
def test_a_run_does_not_go_on_with_other_data(
    name: str, with_runs: tuple[Path, RunConfig, RunConfig]
) -> None:
    change, told = CHANGES[name]
    folder, cfg, _ = with_runs
    before = json.loads((folder / "interrupted" / "record.json").read_text())
    assert before["status"] == "interrupted"
    change(folder / "set")
    with pytest.raises(DataError, match=told):
        run(cfg, folder / "interrupted")
    after = json.loads((folder / "interrupted" / "record.json").read_text())
    assert after["status"] == "failed"
    assert (after["loss"], after["resumed"]) == (before["loss"], [])
    assert len(after["loss"]) >= 3


@pytest.mark.parametrize("name", CHANGES)
def test_a_finished_run_is_not_taken_for_one_of_todays_data(
    name: str, with_runs: tuple[Path, RunConfig, RunConfig]
) -> None:
    change, told = CHANGES[name]
    folder, _, cfg = with_runs
    record = json.loads((folder / "finished" / "record.json").read_text())
    assert record["status"] == "finished"
    assert sealed(run(cfg, folder / "finished")) == record, "with the same data it is finished"
    change(folder / "set")
    with pytest.raises(DataError, match=told):
        run(cfg, folder / "finished")
    assert json.loads((folder / "finished" / "record.json").read_text()) == record


def test_a_sweep_over_changed_data_fails_and_loses_nothing(own_set: Path, tmp_path: Path) -> None:
    arguments = [*tiny_overrides(own_set, tmp_path), *overrides(own_set), "name=study", "freeze=8"]
    first = run_program("tlx.train", "-m", *arguments, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    [record] = (tmp_path / "runs" / "study").glob("*/record.json")
    before = record.read_text()
    more_pictures(own_set)
    again = run_program("tlx.train", "-m", *arguments, cwd=tmp_path)
    assert again.returncode == 1
    assert "is finished, on other data than today's: train had" in again.stdout + again.stderr
    assert f"refused: {record.parent.name}" in again.stderr
    assert record.read_text() == before


def test_a_finished_run_without_its_data_stays_finished(
    config: Callable[..., RunConfig],
    own_set: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    record = run(config(), tmp_path / "run")
    own_set.rename(tmp_path / "elsewhere")
    assert run(config(), tmp_path / "run") == record
    assert "cannot be compared with today's" in caplog.text


def test_records_of_earlier_versions_are_not_taken_for_todays(
    config: Callable[..., RunConfig], tmp_path: Path
) -> None:
    run(config(), tmp_path / "run")
    path = tmp_path / "run" / "record.json"
    record = json.loads(path.read_text())
    del record["dataset"]
    path.write_text(json.dumps(record))
    with pytest.raises(DataError, match="does not say which pictures it had"):
        run(config(), tmp_path / "run")


def test_a_pilot_holds_for_its_own_data_finished_or_not(
    config: Callable[..., RunConfig], own_set: Path, tmp_path: Path
) -> None:
    from tlx.study.pilot import pilot, start

    cfg = config("policy=auto", "policy.depths=[4,8]", "policy.seeds=2")
    pilot(cfg, tmp_path / "run")
    more_pictures(own_set)
    with pytest.raises(
        DataError, match=r"the pilot of .* chose its depth on other data: train had"
    ):
        start(cfg, tmp_path / "run")
    # As if it had been interrupted before its last runs.
    (tmp_path / "run" / "pilot.json").unlink()
    shutil.rmtree(next((tmp_path / "run" / "pilot").glob("*=8-*")))
    with pytest.raises(DataError, match="had different data: train had"):
        pilot(cfg, tmp_path / "run")


# --- evaluation ---


def ask(tmp_path: Path, **values: Any) -> EvaluateConfig:
    return EvaluateConfig(
        checkpoint=str(tmp_path / "run"), cache_dir=str(tmp_path / "cache"), device="cpu", **values
    )


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, compose_config: Compose) -> Path:
    """A folder with a set and a run on it."""
    folder = tmp_path_factory.mktemp("once")
    root = make_set(folder)
    run(compose_config(*tiny_overrides(root, folder), *overrides(root)), folder / "run")
    return folder


@pytest.fixture
def trained(once: Path, tmp_path: Path, own_set: Path) -> dict[str, Any]:
    """The record of a copy of that run, on the copy of its set that is `own_set`."""
    shutil.copytree(once / "run", tmp_path / "run")
    checkpoint = tmp_path / "run" / "checkpoints" / "best.ckpt"
    content = torch.load(checkpoint, weights_only=True)
    content["tlx"]["config"]["data"]["root"] = str(own_set)
    torch.save(content, checkpoint)
    record: dict[str, Any] = json.loads((tmp_path / "run" / "record.json").read_text())
    return record


def test_a_set_that_grew_is_evaluated_on_the_runs_own_test_pictures(
    trained: dict[str, Any], own_set: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = evaluate(ask(tmp_path))
    assert before["map"] == pytest.approx(trained["test"]["map"])
    more_pictures(own_set)
    caplog.set_level(logging.INFO)
    after = evaluate(ask(tmp_path))
    assert after["data"] == {"gone": 0, "changed": 0, "new": 30}
    assert after["images"] == before["images"] == trained["test"]["images"]
    assert after["map"] == before["map"]
    assert "30 pictures have come since training" in caplog.text
    together = evaluate(ask(tmp_path, split="all"))
    assert together["images"] == before["images"] + 30


def test_what_has_changed_since_training_is_said(
    trained: dict[str, Any], own_set: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    test = json.loads((tmp_path / "run" / "predictions" / "test.json").read_text())["images"]
    (own_set / test[0]["image"]).unlink()
    moved_box(own_set)
    figures = evaluate(ask(tmp_path))
    assert figures["images"] == len(test) - 1
    assert figures["data"]["gone"] == 1
    assert figures["data"]["changed"] == sum(bool(t["truth"]["boxes"]) for t in test[1:])
    assert f"1 of the {len(test)} pictures of test are gone" in caplog.text


def write_other(root: Path, counts: dict[str, int]) -> Path:
    """A set of the same classes and other pictures: negatives of what `write_set` makes."""
    write_set(root, counts)
    for path in root.rglob("*.png"):
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    return root


def test_another_set_is_evaluated_whole_without_what_was_trained_on(
    trained: dict[str, Any],
    config: Callable[..., RunConfig],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = write_other(tmp_path / "other", {"train": 9, "val": 2, "test": 3})
    splits = splits_of(trained, config(), tmp_path)
    seen = [item.image for item in [*splits["train"][:3], *splits["val"][:1]]]
    for image in (*seen, splits["test"][0].image):
        for ending in (".png", ".xml"):
            shutil.copy(image.with_suffix(ending), other / "train" / f"copy-{image.stem}{ending}")
    figures = evaluate(ask(tmp_path, root=str(tmp_path / "other")))
    assert figures["split"] == "all"
    assert figures["images"] == 9 + 2 + 3 + 1
    assert figures["data"]["left_out"] == sorted(f"train/copy-{p.stem}.png" for p in seen)
    assert "4 pictures are left out, because the model was trained" in caplog.text


def splits_of(record: dict[str, Any], config: RunConfig, tmp_path: Path) -> dict[str, list[Any]]:
    """The run's items, as long as its data are what they were."""
    data = build_data(config.data, tmp_path / "cache")
    assert data.membership.summary() == record["dataset"]
    return data.splits


def test_the_same_set_at_another_place_is_known_by_its_contents(
    trained: dict[str, Any], own_set: Path, tmp_path: Path
) -> None:
    before = evaluate(ask(tmp_path))
    own_set.rename(tmp_path / "moved")
    after = evaluate(ask(tmp_path, root=str(tmp_path / "moved"), split="test"))
    assert (after["map"], after["images"]) == (before["map"], before["images"])
    whole = evaluate(ask(tmp_path, root=str(tmp_path / "moved")))
    assert whole["images"] == before["images"]


def test_a_split_that_is_not_there_says_what_to_do(trained: dict[str, Any], tmp_path: Path) -> None:
    other = write_other(tmp_path / "other", {"train": 3, "val": 2})
    with pytest.raises(DataError, match="split=all takes all its pictures"):
        evaluate(ask(tmp_path, root=str(other), split="test"))
    assert evaluate(ask(tmp_path, root=str(other), split="val"))["images"] == 2


def test_another_format_of_another_set(trained: dict[str, Any], tmp_path: Path) -> None:
    root = tmp_path / "yolo"
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    pixels = np.random.default_rng(5).integers(0, 255, (80, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(root / "images" / "a.png")
    (root / "labels" / "a.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    (root / "data.yaml").write_text("names: [blue, red]\n")
    figures = evaluate(ask(tmp_path, root=str(root), format="yolo"))
    assert (figures["images"], figures["boxes"]) == (1, 1)


def rewrite(checkpoint: Path, dataset: object) -> None:
    """Give a checkpoint another account of its data; None takes it away."""
    content = torch.load(checkpoint, weights_only=True)
    if dataset is None:
        del content["tlx"]["dataset"]
    else:
        content["tlx"]["dataset"] = dataset
    torch.save(content, checkpoint)


def test_a_checkpoint_that_kept_no_splits_is_evaluated_where_nothing_can_leak(
    trained: dict[str, Any], tiny_set: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rewrite(tmp_path / "run" / "checkpoints" / "best.ckpt", None)
    with pytest.raises(DataError, match="the set names no train and no val and no test"):
        evaluate(ask(tmp_path))
    assert evaluate(ask(tmp_path, root=str(tiny_set)))["images"] == 30
    assert "does not say which pictures it was trained on" in caplog.text


@pytest.mark.parametrize("damaged", [[1], {"test": 3}, {"test": ["xyz"]}, {"test": [["a"]]}, "no"])
def test_a_damaged_account_of_the_data_is_said(
    damaged: object, trained: dict[str, Any], tmp_path: Path
) -> None:
    rewrite(tmp_path / "run" / "checkpoints" / "best.ckpt", damaged)
    with pytest.raises(WeightsError, match="what it says of its data set is damaged"):
        evaluate(ask(tmp_path))
