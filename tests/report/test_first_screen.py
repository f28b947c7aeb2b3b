"""The first screen says in plain words what the numbers say, and no more."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tests.report.helpers_factors as factors
import tests.report.helpers_pages as pages
from tests.report.helpers_classifiers import study as classifiers
from tests.report.helpers_report import compared, make_record, write_runs
from tlx.report import load_records, make_report
from tlx.report.comparison.by_set import of_each_set
from tlx.report.comparison.candidates import Limits
from tlx.report.comparison.compare import Comparison, compare
from tlx.report.comparison.recommend import recommend
from tlx.report.comparison.records import Record
from tlx.report.comparison.sweep import SWEEP, of_arm, with_value
from tlx.report.factors import analyse
from tlx.report.factors.levels import DATA
from tlx.report.page.arms import badges_of, summary_table
from tlx.report.page.choice import keys_of, meaning
from tlx.report.page.first_screen import answer_of
from tlx.report.page.parts import Answer

SEEDS = (0.0, 0.03, 0.015)
ARGUMENTS = ["runs", "output=report"]
DO, SURE, COST, NEXT = range(4)


def arm(freeze: str, minutes: float, level: float, noise: float = 0.002, **changes: Any) -> Any:
    """Three runs; the seed moves all arms alike, `noise` each a little on its own."""
    own = [noise, -noise, 0.0] if freeze == "none" else [-noise, 0.0, noise]
    name = changes.pop("data", "sample")
    return [
        make_record(
            freeze, seed, test_map_50=level + SEEDS[seed] + own[seed], data=name,
            time={"fit_s": 60 * minutes, "test_s": 1.0}, name=f"{name} {freeze}-{seed}", **changes,
        )
        for seed in range(3)
    ]  # fmt: skip


def answered(found: Comparison, limits: Limits | None = None) -> Answer:
    return answer_of(found, recommend(found, limits), analyse(found), ARGUMENTS)


def said(answer: Answer, part: int) -> str:
    return " ".join(answer.parts[part].lines)


@pytest.fixture(scope="module")
def clear(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """`none` is best by .005 over `4` and by .1 over `all`; each is cheaper than the last."""
    large = {"peak_rss_bytes": 4 * 2**30, "peak_device_bytes": None}
    return compared(
        tmp_path_factory.mktemp("clear"),
        *arm("none", 30, 0.705, memory=large), *arm("4", 20, 0.700), *arm("all", 10, 0.605),
    )  # fmt: skip


def test_an_answer_has_its_key_its_interval_its_cost_and_what_to_do_next(clear: Comparison) -> None:
    answer = answered(clear)
    assert answer.headline == (
        "Use freeze=4. It trains in 20.0 min, the shortest time of all that are shown to lose at "
        "most 0.02 mAP@.5 against the best."
    )
    assert answer.parts[DO].command == "freeze=4"
    assert "The first 5 blocks of the pretrained network keep the weights" in said(answer, DO)
    found = recommend(clear).difference
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0 < found.high
    sure = said(answer, SURE)
    assert "mAP@.5 on test is 0.005 lower than that of freeze=none, the best of the others" in sure
    assert f"from {-found.low:.3f} lower to {found.high:.3f} higher (95 % interval" in sure
    assert "3 trainings of each arm" in sure
    assert "64 test pictures with 70 objects" in sure
    assert "did not keep what they found" in sure, "the interval lacks the pictures' luck"
    cost = said(answer, COST)
    assert "Training time: 20.0 min; freeze=none takes 30.0 min, so it is 33 % less" in cost
    assert "Memory in training: 1024 MiB; freeze=none 4096 MiB." in cost
    assert f"given up against freeze=none: 0.005 seen; up to {-found.low:.3f} is possible" in cost
    assert "Faster, but not shown to be good enough: freeze=all (10.0 min)." in cost
    assert "Nothing more has to be trained" in said(answer, NEXT)
    line = "python -m tlx.report runs output=report accept_map_loss=0.01"
    assert answer.parts[NEXT].command == line


def test_the_recommended_row_is_marked_in_words(clear: Comparison, tmp_path: Path) -> None:
    advice = recommend(clear)
    table = summary_table(clear, badges_of(advice))
    assert [row[0].badge for row in table.rows] == ["", "✓\u00a0recommended", ""]
    assert [head.text for head in table.heads][:3] == ["arm", "train time", "test mAP@.5"]
    records = [record.data for row in clear.rows for record in row.arm.records]
    report = make_report([write_runs(tmp_path / "runs", *map(dict, records))], tmp_path / "out")
    page = pages.read(report.with_name("index.html").read_text())
    for id in ("summary", "arms"):
        marked = [row[0] for row in page.tables[id] if "✓ recommended" in row[0]]
        assert marked == [["freeze=4", "✓ recommended"]]
    assert [a.get("class") for a in page.named("tr")].count("chosen") == 2
    for word in ("arm", "seed", "IoU", "paired", "pooled", "p, corrected", "train time"):
        assert word in page.text["words"]


def test_where_nothing_is_shown_the_headline_says_so(tmp_path: Path) -> None:
    noisy = [*arm("none", 30, 0.71, 0.05), *arm("4", 20, 0.70, 0.05)]
    found = compared(tmp_path, *noisy)
    answer = answered(found)
    assert answer.headline.startswith("No answer yet: no difference is shown between the arms")
    assert "Choose nothing from these runs yet" in said(answer, DO)
    assert answer.parts[DO].command is None
    assert "No difference from freeze=none shown: freeze=4." in said(answer, SURE)
    assert "That does not say that there is none" in said(answer, SURE)
    least = next(d.detectable for d in found.differences if d.figure == "test_map_50")
    assert f"below about {least:.3f} mAP" in said(answer, SURE)
    assert "from 20.0 min (freeze=4) to 30.0 min (freeze=none)" in said(answer, COST)
    settling = recommend(found).settling
    assert settling is not None
    assert f"about {settling.need.seeds} more seeds" in said(answer, NEXT)
    seeds = ",".join(map(str, range(3 + settling.need.seeds)))
    assert answer.parts[NEXT].command == f"seed={seeds}"
    assert badges_of(recommend(found)) == {}


def test_the_loss_that_is_offered_to_be_accepted_gives_an_answer(tmp_path: Path) -> None:
    found = compared(tmp_path, *arm("none", 30, 0.71, 0.02), *arm("4", 20, 0.70, 0.02))
    offered = re.search(r"accept_map_loss=([\d.]+)", said(answered(found), NEXT))
    assert offered
    accepted = float(offered[1])
    assert recommend(found, Limits(accepted_loss=accepted)).arm is not None
    assert recommend(found, Limits(accepted_loss=accepted - 0.01)).arm is None


def test_a_lean_is_no_recommendation(tmp_path: Path) -> None:
    found = compared(tmp_path, *(arm("none", 30, 0.71)[:1]), *(arm("4", 20, 0.70)[:1]))
    answer = answered(found)
    assert answer.headline.startswith("Not settled yet. If you have to choose today, use freeze=no")
    assert "do not show that it loses at most 0.02" in answer.headline
    assert "With one training each, another seed may turn that round." in said(answer, SURE)
    assert "one training of each arm" in said(answer, SURE)
    assert badges_of(recommend(found)) == {"freeze=none": "to choose today (not shown)"}


def test_what_is_shown_of_one_seed_is_said_of_these_trainings_alone(tmp_path: Path) -> None:
    runs = factors.keys(freeze=("none", "4", "all"), seeds=1)
    logit = {"none": 3.0, "4": 2.9, "all": -1.5}
    factors.write(tmp_path, runs, lambda key: logit[key["freeze"]], pictures=200)
    found = factors.compared(tmp_path)
    shown = found.difference("freeze=all", "test_map_50")
    assert shown is not None
    assert (shown.verdict, shown.pairs) == ("worse", 1)
    assert "another seed may turn it round" in said(answered(found), SURE)


def test_where_nothing_has_learned_no_part_says_more(tmp_path: Path) -> None:
    nothing: dict[str, Any] = {"test_map_50": 0.0, "best": {"map_50": 0.0}, "val": [0.0]}
    records = [make_record(freeze, seed, **nothing) for freeze in ("none", "4") for seed in (0, 1)]
    answer = answered(compared(tmp_path, *records))
    assert answer.headline == (
        "Nothing has learned: no run reaches a mAP@.5 of 0.01, so no arm can be preferred."
    )
    assert "Choose nothing" in said(answer, DO)
    assert "No figure of this page says anything about freezing" in said(answer, SURE)
    assert answer.parts[NEXT].command == "trainer.epochs=8", "twice the 4 of the records"


def test_a_study_without_freeze_none_is_told_to_train_it(tmp_path: Path) -> None:
    noisy = [*arm("4", 20, 0.70, 0.05), *arm("all", 10, 0.69, -0.05)]
    answer = answered(compared(tmp_path, *noisy))
    assert "there is no freeze=none to compare with" in answer.headline
    assert "what freezing costs is not known" in said(answer, SURE)
    assert answer.parts[NEXT].lines[0].startswith("Train freeze=none with the same seeds too")


def test_limits_that_no_arm_keeps_are_named(clear: Comparison) -> None:
    answer = answered(clear, Limits(train_minutes=1))
    assert answer.headline == "No answer yet: no arm keeps the limits."
    assert "allow more" in said(answer, NEXT)


def test_times_of_crowded_runs_are_no_cost(clear: Comparison) -> None:
    rows = [
        replace(
            row, fit_min=None,
            arm=replace(
                row.arm, records=tuple(replace(r, beside=("another",)) for r in row.arm.records)
            ),
        )
        if row.arm.label == "freeze=none" else row
        for row in clear.rows
    ]  # fmt: skip
    found = replace(clear, rows=rows, estimates={})
    times = {row[0].text: row[1] for row in summary_table(found, {}).rows}
    assert (times["freeze=none"].text, times["freeze=none"].note) == ("not comparable", "")
    assert "freeze=none takes" not in said(answered(found), COST)


def test_each_of_several_sets_has_the_answer_that_it_has_alone(tmp_path: Path) -> None:
    """On `guns` freezing all costs .2, on `plates` nothing."""
    sets = {"guns": (0.7, 0.2), "plates": (0.9, 0.004)}
    records = {
        name: [
            *arm("none", 30, level, 0.001, data=name),
            *arm("4", 20, level - 0.002, 0.001, data=name),
            *arm("all", 10, level - loss, 0.001, data=name),
        ]
        for name, (level, loss) in sets.items()
    }
    found = compared(tmp_path / "both", *(run for runs in records.values() for run in runs))
    advice = recommend(found)
    for name, runs in records.items():
        alone = recommend(compared(tmp_path / name, *runs))
        of_set = advice.sets[name]
        assert of_set.arm == f"{alone.arm} {name}"
        assert of_set.difference is not None
        assert alone.difference is not None
        assert of_set.difference.low == pytest.approx(alone.difference.low)
    assert list(of_each_set(found)) == list(sets)
    answer = answered(found)
    assert answer.headline.startswith("Use freeze=4 on guns; use freeze=all on plates. Over the 2")
    assert answer.sets is not None
    assert [[cell.text for cell in row][:3] for row in answer.sets.rows] == [
        ["guns", "freeze=4", "20.0 min"], ["plates", "freeze=all", "10.0 min"]
    ]  # fmt: skip
    assert badges_of(advice) == {
        "freeze=4 guns": "✓\u00a0recommended on guns",
        "freeze=all plates": "✓\u00a0recommended on plates",
    }
    assert advice.as_dict()["sets"]["guns"]["arm"] == "freeze=4 guns"
    assert "add data sets and not seeds" in said(answer, NEXT)
    over = next(f for f in analyse(found).factors if f.factor is DATA).pooled
    pooled = next(p for treatment, p in over.items() if treatment.label == "freeze=4")
    mean, low, high = (
        f"{'−' if v < 0 else '+'}{abs(v):.3f}" for v in (pooled.mean, pooled.low, pooled.high)
    )
    assert f"freeze=4 against freeze=none is {mean} mAP@.5 on average" in answer.headline
    assert f"(95 % interval {low} to {high}: no difference shown)" in answer.headline


def test_what_is_shown_of_a_set_without_an_answer_is_in_the_headline(tmp_path: Path) -> None:
    records = [
        *arm("none", 30, 0.7, 0.03, data="guns"), *arm("4", 20, 0.7, 0.03, data="guns"),
        *arm("all", 10, 0.1, 0.002, data="guns"),
        *arm("none", 30, 0.9, 0.04, data="ppe"), *arm("4", 20, 0.9, 0.04, data="ppe"),
    ]  # fmt: skip
    headline = answered(compared(tmp_path, *records)).headline
    assert headline.startswith(
        "No answer yet on any of the 2 data sets (guns and ppe); on guns freeze=all is shown to be "
        "worse."
    )


def test_a_classifier_is_spoken_of_by_its_accuracy(tmp_path: Path) -> None:
    folder = classifiers(tmp_path)
    answer = answered(compare(load_records([folder]).records))
    told = f"{answer.headline} {' '.join(said(answer, part) for part in range(4))}"
    assert "mAP" not in told
    assert "object" not in told
    assert "10 test pictures." in told


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"freeze": "none"}, "Freeze nothing"),
        ({"freeze": "0"}, "The first block of the pretrained network keeps the weights."),
        ({"freeze": "all"}, "The whole pretrained backbone keeps its weights."),
        ({"freeze": "heads"}, "Backbone and neck keep their weights."),
        ({"freeze": "2..8"}, "The blocks 2..8 of the pretrained network keep their weights."),
        ({"freeze": "all", "policy": "two_phase"}, "How far and how long is up to policy=two_ph"),
        ({"weights": {"source": "scratch"}}, "Start from random weights"),
    ],
)
def test_what_an_arm_does_is_said(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    record = make_record(**changes)
    (row,) = compared(tmp_path, record).rows
    assert words in meaning(row)


def test_keys_of_an_arm_are_those_that_vary(tmp_path: Path) -> None:
    found = compared(
        tmp_path, make_record("none"), make_record("all", policy="two_phase"),
        make_record("4", backbone="mobilenet_v2"),
    )  # fmt: skip
    keys = {row.arm.label: keys_of(found, row) for row in found.rows}
    assert [text for label, text in keys.items() if "two_phase" in label] == [
        "freeze=all policy=two_phase backbone=mobilenet_v1"
    ]
    assert "freeze=4 policy=fixed backbone=mobilenet_v2" in keys.values()


def swept(folder: Path, *given: str, **records: dict[str, Any]) -> list[Record]:
    hydra = {"overrides": {"task": list(given), "hydra": ["hydra.mode=MULTIRUN"]},
             "sweeper": {"params": None}}  # fmt: skip
    (folder / SWEEP).write_text(json.dumps({"hydra": hydra}))
    return [Record(folder / name, data) for name, data in records.items()]


def test_the_command_of_an_arm_is_that_of_the_sweep_with_its_own_values(tmp_path: Path) -> None:
    config = {"policy": {"name": "two_phase"}, "trainer": {"base_lr": 0.01}}
    records = swept(
        tmp_path, "freeze=none,0..4", "policy=fixed,two_phase", "trainer.base_lr=0.1,0.01",
        "seed=0,1", "name=study", "data.root=/data/my guns",
        a=make_record("4", config=config), b=make_record("none", config=config),
    )  # fmt: skip
    line = (
        "python -m tlx.train freeze=0..4 policy=two_phase trainer.base_lr=0.01 "
        "'data.root=/data/my guns'"
    )
    assert of_arm(records, records[0]) == line
    assert with_value(records, "trainer.epochs", 8) == (
        "python -m tlx.train -m freeze=none,0..4 policy=fixed,two_phase trainer.base_lr=0.1,0.01 "
        "seed=0,1 name=study 'data.root=/data/my guns' trainer.epochs=8"
    )


@pytest.mark.parametrize("given", ["trainer.base_lr=0.2,0.3", "trainer.base_lr=range(1,3)"])
def test_a_value_that_cannot_be_told_gives_no_command(tmp_path: Path, given: str) -> None:
    config = {"trainer": {"base_lr": 0.01}}
    records = swept(tmp_path, "freeze=none,4", given, a=make_record("4", config=config))
    assert of_arm(records, records[0]) is None


def test_the_command_of_a_tuned_arm_has_what_its_trials_found_and_makes_none(
    tmp_path: Path,
) -> None:
    rates = {"base_lr": 0.002, "head_lr": 0.01, "epochs": 31}
    found = make_record(
        "4", config={"trainer": rates},
        tuning={"tuned": ["base_lr", "head_lr"], "design": "wall_clock"},
    )  # fmt: skip
    given = ["experiment=fair_study", "freeze=none,4", "tune.trials=4", "tune.design=wall_clock",
             "trainer.epochs=20"]  # fmt: skip
    records = swept(tmp_path, *given, a=found, b=make_record("none"))
    rates_found = "trainer.base_lr=0.002 trainer.head_lr=0.01 trainer.epochs=31"
    assert of_arm(records, records[0]) == (
        f"python -m tlx.train experiment=fair_study freeze=4 {rates_found} tune.trials=null "
        "tune.minutes=null tune.design=epochs"
    )
    (row,) = compared(tmp_path / "runs", found).rows
    assert keys_of(compared(tmp_path / "again", found), row) == f"freeze=4 {rates_found}"


def test_the_command_of_the_scratch_arm_starts_from_scratch(tmp_path: Path) -> None:
    scratch = make_record("none", weights={"source": "scratch"})
    given = ["freeze=none,4,scratch", "weights=coco.npz", "trainer.epochs=4"]
    records = swept(tmp_path, *given, a=scratch, b=make_record("none"))
    start = "python -m tlx.train trainer.epochs=4 freeze=none weights=scratch"
    assert of_arm(records, records[0]) == start
    assert of_arm(records, records[1]) == (
        "python -m tlx.train freeze=none weights=coco.npz trainer.epochs=4"
    )


def test_an_arm_that_is_seen_to_lose_is_no_arm_of_which_nothing_is_known(tmp_path: Path) -> None:
    """The best takes too long; the other loses .03, and more than .04 is left out."""
    found = compared(tmp_path, *arm("none", 30, 0.73, 0.0), *arm("4", 20, 0.70, 0.0))
    exact = replace(
        found, rows=[replace(row, arm=replace(row.arm, records=tuple(
            replace(r, data=r.data | {"test": r.data["test"] | {"boxes": 10**6}})
            for r in row.arm.records
        ))) for row in found.rows]
    )  # fmt: skip
    limits = Limits(train_minutes=25)
    advice = recommend(exact, limits)
    assert advice.bound is not None
    assert 0.02 < advice.bound < 0.04
    assert "each seems to lose more than 0.02, or a loss of 0.04" in advice.words[1]
    answer = answer_of(exact, advice, analyse(exact), ARGUMENTS)
    assert "each arm seems to lose more than 0.02 mAP, or a loss of 0.04 mAP" in said(answer, DO)
    assert "none that keeps the limits is shown to be within 0.02" in answer.headline
    assert "that of freeze=none (0.745)" in said(answer, DO)
    assert "its training takes up to 30.0 min" in said(answer, DO)


def test_why_arms_that_could_be_compared_are_none_to_take(tmp_path: Path) -> None:
    span = {"started": "2025-01-01T00:00:00", "until": "2025-01-01T01:00:00", "boot": "a"}
    at = {"segments": [span]}
    found = compared(tmp_path, *arm("none", 30, 0.7, **at), *arm("4", 20, 0.7, **at))
    answer = answered(found)
    assert answer.headline == (
        "No answer yet: none of the arms can be taken: their training times are not comparable."
    )
    told = said(answer, DO)
    assert "freeze=none and freeze=4: their training times are not comparable." in told
    assert "nothing to compare with" not in told


def test_runs_that_are_missing_are_said_before_what_else_to_do(tmp_path: Path) -> None:
    failed = make_record("8", 0, status="failed", test=None, error={"type": "E", "message": "e"})
    found = compared(tmp_path, *arm("none", 30, 0.71), *arm("all", 10, 0.1), failed)
    assert recommend(found).arm == "freeze=none"
    lines = answered(found).parts[NEXT].lines
    assert lines[0].startswith("1 run is not finished and not counted here")


def test_an_answer_without_freeze_none_asks_for_it(tmp_path: Path) -> None:
    found = compared(tmp_path, *arm("4", 20, 0.70), *arm("all", 10, 0.1))
    assert recommend(found).arm == "freeze=4"
    answer = answered(found)
    assert answer.parts[NEXT].lines[0].startswith("Train freeze=none with the same seeds too")
    assert "freeze=none was not tried" in said(answer, SURE), "a key stays as it is typed"


def test_the_wait_for_a_core_is_said_where_times_are(tmp_path: Path) -> None:
    waited = {"fit_s": 1200.0, "test_s": 1.0, "waited_s": 600.0}
    runs = [*arm("none", 30, 0.71), *(run | {"time": waited} for run in arm("4", 20, 0.70))]
    assert "Up to 50 % of a training was waiting for a core" in said(
        answered(compared(tmp_path, *runs)), COST
    )


def test_one_seed_of_folds_is_several_trainings(tmp_path: Path) -> None:
    factors.write(tmp_path, factors.keys(folds=3, seeds=1), lambda key: 2.0, pictures=20)
    found = factors.compared(tmp_path)
    answer = answered(found)
    assert "one seed, with a training for each of 3 folds, of each arm" in said(answer, SURE)
    assert "one training" not in " ".join(said(answer, part).lower() for part in range(4))
    assert "One seed each, over its folds" in summary_table(found, {}).caption


def test_the_line_of_a_folded_study_says_that_it_is_of_one_fold(tmp_path: Path) -> None:
    factors.write(tmp_path, factors.keys(folds=3, seeds=3), lambda key: 2.0, pictures=60)
    task = ["data.folds=3", "data.fold=0,1,2", "freeze=none,4,8,all", "seed=0,1,2"]
    hydra = {"overrides": {"task": task, "hydra": []}, "sweeper": {"params": None}}
    (tmp_path / SWEEP).write_text(json.dumps({"hydra": hydra}))
    answer = answered(factors.compared(tmp_path), Limits(accepted_loss=0.3))
    assert "data.fold=0" in str(answer.parts[DO].command)
    told = "on all folds but fold 0 (without data.folds and data.fold it trains on"
    assert told in said(answer, DO)


@pytest.mark.parametrize(
    ("freeze", "blocks", "words"),
    [
        ("Conv2d_4", "abcde", "The blocks up to and with Conv2d_4 of the pretrained network"),
        ("0+5..7", "aefg", "The blocks 0+5..7 (a, e, f, g) of the pretrained network"),
        ("2..8", "abcdefg", "The blocks 2..8 (7 blocks) of the pretrained network"),
    ],
)
def test_which_blocks_a_set_names(freeze: str, blocks: str, words: str, tmp_path: Path) -> None:
    record = make_record(freeze, frozen={"blocks": list(blocks), "parameters": 1})
    (row,) = compared(tmp_path, record).rows
    assert words in meaning(row)


def test_arms_that_are_cheaper_for_another_reason_are_not_called_too_poor(tmp_path: Path) -> None:
    """An arm of fewer pictures, and one that needs too much memory."""
    large = {"peak_rss_bytes": 4 * 2**30, "peak_device_bytes": None}
    part = [
        run | {"config": {"data": {"train_fraction": 0.5}, "freeze": "none", "seed": run["seed"]}}
        for run in arm("none", 15, 0.7)
    ]
    runs = [*arm("none", 30, 0.705), *arm("4", 20, 0.7), *arm("8", 10, 0.7, memory=large)]
    for run in runs:
        run["config"] = {"freeze": run["freeze"], "seed": run["seed"], "data": {}}
    found = compared(tmp_path, *runs, *part)
    limits = Limits(memory_gb=2)
    assert "freeze=4" in str(recommend(found, limits).arm)
    assert "Faster" not in said(answered(found, limits), COST)


def test_a_run_that_diverged_is_not_to_be_finished(tmp_path: Path) -> None:
    error = {"type": "DivergenceError", "message": "the loss became nan at step 3"}
    lost = make_record("8", 0, status="failed", test=None, error=error)
    found = compared(tmp_path, *arm("none", 30, 0.71), *arm("all", 10, 0.1), lost)
    told = said(answered(found), NEXT)
    assert "1 run diverged (see “Runs”), and would again: lower trainer.base_lr" in told
    assert "finish what was begun" not in told


def test_arms_without_a_figure_are_not_said_to_be_untrained(tmp_path: Path) -> None:
    found = compared(tmp_path, *(make_record(f, s, test=None) for f in ("none", "4") for s in "01"))
    answer = answered(found)
    assert answer.headline.endswith("none of the arms can be taken: they have no test mAP@.5.")
    assert "No two arms could be compared." in said(answer, SURE)
    assert "was trained" not in said(answer, SURE)
    assert "Train at least one other arm" not in said(answer, NEXT)
