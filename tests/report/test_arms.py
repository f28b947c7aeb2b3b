"""An arm is a configuration less its seed: what was swept names it, whatever was swept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from tests.conftest import Compose, tiny_overrides
from tests.helpers_process import run_program
from tests.report.helpers_report import compared, make_record, rows_of, write_runs
from tlx.config.identity import run_label
from tlx.config.typed import plain, to_yaml
from tlx.records.arms import arm_labels, arm_settings, natural
from tlx.report import compare, load_records
from tlx.report.comparison.recommend import recommend
from tlx.report.comparison.verdict import verdict
from tlx.study.progress import planned, repeats
from tlx.study.report_callback import SweepReport


def labels(compose_config: Compose, *lines: str) -> list[str]:
    """The label of every command line, in one study."""
    return arm_labels([arm_settings(plain(compose_config(*line.split()))) for line in lines])


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["freeze=none", "freeze=4 seed=1", "backbone.weights=scratch", "freeze=all"],
         ["freeze=none", "freeze=4", "scratch", "freeze=all"]),
        (["freeze=4 trainer.head_lr=0.01", "freeze=4 trainer.head_lr=0.001 seed=1"],
         ["freeze=4 head_lr=0.01", "freeze=4 head_lr=0.001"]),
        (["freeze=all policy=two_phase policy.unfreeze_at=0.3",
          "freeze=all policy=two_phase policy.unfreeze_at=0.6", "freeze=none"],
         ["freeze=all two_phase unfreeze_at=0.3", "freeze=all two_phase unfreeze_at=0.6",
          "freeze=none"]),
        (["detector.input_size=96", "detector.input_size=128"],
         ["freeze=none input_size=96", "freeze=none input_size=128"]),
        (["trainer.precision=32-true", "trainer.precision=bf16-mixed"],
         ["freeze=none precision=32-true", "freeze=none precision=bf16-mixed"]),
        (["cache.views=0", "cache.views=4", "cache.views=4 cache=off"],
         ["freeze=none cache=auto views=0", "freeze=none cache=auto views=4",
          "freeze=none cache=off views=4"]),
        (["backbone.weights=auto", "backbone.weights=/a/1.pth", "backbone.weights=/b/2.pth"],
         ["freeze=none weights=auto", "freeze=none weights=1.pth", "freeze=none weights=2.pth"]),
        (["backbone.weights=/a/w.pth", "backbone.weights=/b/w.pth"],
         ["freeze=none weights=/a/w.pth", "freeze=none weights=/b/w.pth"]),
        # What comes with a data set or a backbone is not told again.
        (["data=guns data.root=/g", "data=ppe data.root=/p", "data=ppe data.root=/p freeze=4"],
         ["freeze=none guns", "freeze=none ppe", "freeze=4 ppe"]),
        (["data=guns data.root=/g trainer.epochs=3", "data=guns data.root=/g trainer.epochs=5"],
         ["freeze=none epochs=3", "freeze=none epochs=5"]),
        (["trainer.freeze_bn=true", "data.classes=[a,b]"],
         ["freeze=none classes=null freeze_bn=true", "freeze=none classes=[a, b] freeze_bn=false"]),
        # What changes no number makes no arm.
        (["trainer.workers=0", "trainer.workers=2 logger=none name=x seed=4"], ["freeze=none"] * 2),
        (["freeze=4", "freeze='4'"], ["freeze=4"] * 2),
    ],
)  # fmt: skip
def test_labels_say_what_was_swept(
    lines: list[str], expected: list[str], compose_config: Compose
) -> None:
    assert labels(compose_config, *lines) == expected


def test_one_and_one_point_zero_are_one_value(compose_config: Compose) -> None:
    values: Any = plain(compose_config())
    again = json.loads(json.dumps(values).replace("10.0", "10"))
    assert again["trainer"]["clip_norm"] is not values["trainer"]["clip_norm"]
    assert len(set(arm_labels([arm_settings(values), arm_settings(again)]))) == 1


def test_arms_that_nothing_known_tells_apart_have_names_of_their_own() -> None:
    arms: list[dict[str, Any]] = [{"freeze": "4", "x": 1}, {"freeze": "4"}, {"freeze": "4", "x": 1}]
    assert arm_labels(arms) == ["freeze=4", "freeze=4 (2)", "freeze=4"]


def test_reading_order_goes_by_numbers() -> None:
    given = ["freeze=4 lr=0.01", "freeze=4 lr=1e-05", "freeze=4 lr=0.001", "freeze=4 lr=2"]
    assert [label[12:] for label in sorted(given, key=natural)] == ["1e-05", "0.001", "0.01", "2"]


def configured(cfg: Any, **changes: Any) -> dict[str, Any]:
    """A finished run of a configuration, its figures made up."""
    values: Any = plain(cfg)
    weights = {"source": values["backbone"]["weights"], "sha256": None}
    return make_record(
        str(cfg.freeze), cfg.seed, config=values, weights=weights, policy=cfg.policy["name"],
        **changes,
    )  # fmt: skip


def sweep(compose_config: Compose, key: str, *values: str, freezes: str = "4") -> list[Any]:
    return [
        compose_config(f"freeze={freeze}", f"{key}={value}", f"seed={seed}")
        for freeze in freezes.split(",")
        for value in values
        for seed in range(3)
    ]


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("trainer.head_lr", ("0.003", "0.02")),
        ("trainer.optimizer", ("adamw", "sgd")),
        ("detector.head", ("hidden", "ssd")),
        ("trainer.precision", ("32-true", "bf16-mixed")),
        ("detector.input_size", ("192", "224")),
        ("detector.input_size", ("160", "300")),  # the sample's own, and that of most sets
        ("cache.views", ("0", "4")),
        ("data.zoom_out", ("1.0", "2.0")),  # likewise
    ],
)
def test_a_swept_key_makes_arms_that_are_compared(
    key: str, values: tuple[str, str], compose_config: Compose, tmp_path: Path
) -> None:
    records = [
        configured(cfg, test_map_50=0.6 + 0.01 * cfg.seed + 0.2 * (place < 3), step=0.2)
        for place, cfg in enumerate(sweep(compose_config, key, *values))
    ]
    study = compared(tmp_path, *records)
    end = key.split(".")[1]
    numbers = [value.removesuffix(".0") for value in values]
    assert {row.arm.label for row in study.rows} == {f"freeze=4 {end}={v}" for v in numbers}
    assert [len(row.arm.records) for row in study.rows] == [3, 3]
    (line,) = study.baselines
    base = f"freeze=4 {end}={numbers[0]}"
    has = "it is the first" if "192" in values else f"it has the default of {key}"
    assert f"compared with {base}: {has}" in line
    assert line in verdict(study)
    difference = study.difference(f"freeze=4 {end}={numbers[1]}", "test_map_50")
    assert difference is not None
    assert (difference.reference, difference.pairs, difference.verdict) == (base, 3, "worse")
    assert not any("mixes runs" in warning for warning in study.warnings)
    assert recommend(study).words


def test_each_arm_is_compared_with_the_unfrozen_arm_of_its_own_settings(
    compose_config: Compose, tmp_path: Path
) -> None:
    cfgs = sweep(compose_config, "trainer.head_lr", "0.02", "0.001", freezes="none,4")
    study = compared(tmp_path, *[configured(cfg) for cfg in cfgs])
    pairs = {(d.arm, d.reference) for d in study.differences}
    assert pairs == {
        ("freeze=4 head_lr=0.02", "freeze=none head_lr=0.02"),
        ("freeze=4 head_lr=0.001", "freeze=none head_lr=0.001"),
    }
    assert study.baselines == []
    assert not any("not the freeze's alone" in line for line in study.warnings)


def test_a_difference_that_is_not_the_freeze_s_alone_is_said(
    compose_config: Compose, tmp_path: Path
) -> None:
    cfgs = sweep(compose_config, "trainer.head_lr", "0.02", freezes="none")
    cfgs += sweep(compose_config, "trainer.head_lr", "0.001")
    study = compared(tmp_path, *[configured(cfg) for cfg in cfgs])
    assert list(rows_of(study)) == ["freeze=none head_lr=0.02", "freeze=4 head_lr=0.001"]
    assert any("differ in trainer.head_lr too" in line for line in study.warnings)


def test_earlier_records_are_read_with_the_configuration_beside_them(
    compose_config: Compose, tmp_path: Path
) -> None:
    cfgs = sweep(compose_config, "trainer.head_lr", "0.02", "0.001")
    records = [configured(cfg) for cfg in cfgs]
    for record in records:
        del record["config"]
    write_runs(tmp_path, *records)
    for place, cfg in enumerate(cfgs):
        text = to_yaml(cfg)
        (tmp_path / "nested" / f"{place:02d}" / "config.yaml").write_text(text)
    study = compare(load_records([tmp_path]).records)
    assert [(row.arm.label, len(row.arm.records)) for row in study.rows] == [
        ("freeze=4 head_lr=0.001", 3),
        ("freeze=4 head_lr=0.02", 3),
    ]


@pytest.mark.parametrize(
    "text", ["", "[1", "a: &a [1]\nb: *a\n", "- 1\n", "\x00", "policy: 3\nfreeze: {a: [}"]
)
def test_a_damaged_configuration_is_none(text: str, tmp_path: Path) -> None:
    write_runs(tmp_path, make_record("4"))
    (tmp_path / "nested" / "00" / "config.yaml").write_text(text)
    (row,) = compare(load_records([tmp_path]).records).rows
    assert row.arm.label == "freeze=4"


def test_runs_without_their_configuration_join_no_arm_that_has_one(
    compose_config: Compose, tmp_path: Path
) -> None:
    cfg = compose_config("freeze=4")
    study = compared(tmp_path, configured(cfg), make_record("4", 1))
    assert list(rows_of(study)) == ["freeze=4", "freeze=4 (settings not recorded)"]


def test_one_file_at_two_places_is_one_arm(compose_config: Compose, tmp_path: Path) -> None:
    records = []
    for seed, place in enumerate(("/a/w.pth", "/mnt/w.pth", "net@coco")):
        cfg = compose_config("freeze=4", f"seed={seed}", f"backbone.weights={place}")
        records.append(configured(cfg) | {"weights": {"source": place, "sha256": "ab" * 32}})
    (row,) = compared(tmp_path, *records).rows
    assert (row.arm.label, len(row.arm.records)) == ("freeze=4", 3)


def test_a_repeated_seed_counts_once_wherever_its_weights_lay(
    compose_config: Compose, tmp_path: Path
) -> None:
    records = []
    for place in ("/a/w.pth", "/mnt/w.pth"):
        cfg = compose_config("freeze=4", f"backbone.weights={place}")
        record = configured(cfg, fingerprint=place)
        records.append(record | {"weights": {"source": place, "sha256": "ab" * 32}})
    study = compared(tmp_path, *records)
    assert [len(row.arm.records) for row in study.rows] == [1]
    assert any("run twice" in line for line in study.warnings)


def test_a_sweep_of_a_learning_rate_ends_in_two_arms(tiny_set: Path, tmp_path: Path) -> None:
    """The command as it is typed: runs, records and report."""
    sweep = ["trainer.head_lr=0.01,0.001", "seed=0,1", "freeze=4"]
    settings = [*tiny_overrides(tiny_set, tmp_path), "trainer.epochs=1", "name=study"]
    done = run_program("tlx.train", "-m", *sweep, *settings)
    assert done.returncode == 0, done.stderr
    assert "freeze=4 head_lr=0.001 seed=1" in done.stdout + done.stderr, "where the study stands"
    study = tmp_path / "runs" / "study"
    for file in study.glob("*/record.json"):
        record = json.loads(file.read_text())
        stored = OmegaConf.to_container(OmegaConf.load(file.with_name("config.yaml")))
        assert record["config"] == stored
    report = json.loads((study / "report" / "report.json").read_text())
    assert [(row["arm"], row["n"], row["seeds"]) for row in report["rows"]] == [
        ("freeze=4 head_lr=0.001", 2, [0, 1]),
        ("freeze=4 head_lr=0.01", 2, [0, 1]),
    ]
    (first, *_) = report["differences"]
    assert (first["arm"], first["reference"], first["pairs"]) == (
        "freeze=4 head_lr=0.01", "freeze=4 head_lr=0.001", 2,
    )  # fmt: skip


def test_a_sweep_of_what_changes_no_number_is_said(compose_config: Compose) -> None:
    jobs = []
    for workers in (0, 1):
        cfg = compose_config(f"trainer.workers={workers}")
        jobs.append((cfg, Path("runs", run_label(plain(cfg)))))
    (line,) = repeats(planned(jobs))
    assert line.startswith("2 jobs of this sweep are one run, runs/freeze=none-seed=0-")


def test_a_folder_of_two_jobs_counts_once_when_a_sweep_ends() -> None:
    sweep = SweepReport()
    config = OmegaConf.create({"hydra": {"runtime": {"output_dir": "runs/a"}}})
    for _ in range(2):
        sweep.on_job_start(config)
    assert sweep.folders == [Path("runs/a")]


@pytest.mark.parametrize("other", ["Conv2d_2..Conv2d_3", "2..3"])
def test_one_set_of_blocks_under_two_names_is_said(other: str, tmp_path: Path) -> None:
    """Names are left as they are written, so that they make an arm of their own."""
    blocks = {"blocks": ["Conv2d_2", "Conv2d_3"], "parameters": 5}
    named = make_record(other, 1, frozen=blocks)
    found = compared(tmp_path, make_record("2..3", 0, frozen=blocks), named, make_record("none"))
    told = [line for line in found.warnings if "under two names" in line]
    assert bool(told) is (other != "2..3")
    assert all(line.startswith(f"freeze=2..3 and freeze={other} ") for line in told)
