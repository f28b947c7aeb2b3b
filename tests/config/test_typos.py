"""Typos of keys and choices end in one line that says what may have been meant, and exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.helpers_data_check import exit_code
from tests.helpers_process import run_program
from tlx.common.typos import nearest, unknown_key
from tlx.config.check import conf_dir
from tlx.config.composition import in_words
from tlx.report.__main__ import main as report_main

KEYS = ["freeze", "seed", "trainer.epochs", "data.epochs", "trainer.head_lr", "policy.then"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("freez", "freeze"), ("Freeze", "freeze"), ("trainer.epoch", "trainer.epochs"),
        ("trianer.epochs", "trainer.epochs"), ("head_lr", "trainer.head_lr"),
        ("heed_lr", "trainer.head_lr"), ("xyzzy", None),
    ],
)  # fmt: skip
def test_the_nearest_key(word: str, meant: str | None) -> None:
    assert nearest(word, KEYS) == meant


def test_where_nothing_is_near_the_keys_are_listed() -> None:
    assert unknown_key("xyzzy", ["freeze", "seed"]) == "xyzzy is not a key; keys: freeze, seed"


def composed(*overrides: str) -> str:
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        try:
            compose("config", overrides=list(overrides))
        except Exception as error:
            return in_words(error, overrides)
    raise AssertionError(f"{overrides} was composed")


@pytest.mark.parametrize(
    ("overrides", "end"),
    [
        ("freez=4", "did you mean freeze=4?"),
        ("trainer.epoch=3", "did you mean trainer.epochs=3?"),
        ("epochs=3", "did you mean trainer.epochs=3?"),
        ("polcy=auto", "did you mean policy=auto?"),
        ("data=gunz", "did you mean data=guns?"),
        ("experiment=freeze_studdy", "did you mean experiment=freeze_study?"),
        ("policy=two_phase policy.unfreez_at=.5", "did you mean policy.unfreeze_at=.5?"),
        ("freeze", "'freeze' is not KEY=VALUE"),
        ("weights=runs/a/freeze=4-seed=0", """quote it: 'weights="runs/a/freeze=4-seed=0"'"""),
        ("backbone.mean=0.5", "is no list: write [a,b,c]"),
    ],
)
def test_errors_of_a_composition(overrides: str, end: str) -> None:
    line = composed(*overrides.split())
    assert line.endswith(end)
    assert "\n" not in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tlx.train", "freez=4"], "did you mean freeze=4?"),
        (["tlx.train", "-m", "freez=4,8"], "did you mean freeze=4,8?"),
        (["tlx.train", "train=2..8"], "freeze=3.. trains the first three blocks and the heads"),
        (["tlx.train", "train=first", "freeze=4"], "give one of them, and once"),
        (["tlx.train", "+trainer.epoch=3"], "did you mean trainer.epochs?"),
        (["tlx.train", "-m", "+trainer.epoch=3,4"], "did you mean trainer.epochs?"),
        (["tlx.train", "--config-dir", ".", "experiment=values"],
         "In 'experiment/values': trainer.epoch is not a key: did you mean trainer.epochs?"),
        (["tlx.train", "--config-dir", ".", "-m", "experiment=sweep"], "did you mean freeze?"),
        (["tlx.classify", "data.rot=/x"], "did you mean data.root=/x?"),
        (["tlx.evaluate", "checkpiont=x"], "did you mean checkpoint=x?"),
        (["tlx.predict", "checkpont=x"], "did you mean checkpoint=x?"),
        (["tlx.export", "checkpont=x"], "did you mean checkpoint=x?"),
        (["tlx.benchmark", "trian"], "did you mean train?"),
        (["tlx.benchmark", "train", "policiess=none"], "did you mean policies=none?"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)  # fmt: skip
def test_programs_end_in_one_line(arguments: list[str], words: str, tmp_path: Path) -> None:
    folder = tmp_path / "experiment"
    folder.mkdir()
    (folder / "values.yaml").write_text("# @package _global_\ntrainer:\n  epoch: 8\n")
    (folder / "sweep.yaml").write_text(
        "# @package _global_\nhydra:\n  sweeper:\n    params:\n      freez: none,4\n"
    )
    done = run_program(*arguments, cwd=tmp_path, timeout=120)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.endswith(words)
    assert not list(tmp_path.rglob("record.json")), "nothing has begun"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tlx.train", "-m", "freeze=none,nonsense"], "freeze=nonsense is not understood"),
        (["tlx.classify", "-m", "trainer.epochs=1,-1"], "trainer.epochs=-1 must be at least 1"),
        (["tlx.train", "-m", "runs_dir=", "freeze=none,4"], "runs_dir= is empty"),
        (["tlx.train", "data=auto", "data.root="], "data.root= is empty"),
        (["tlx.train", "runs_dir="], "runs_dir= is empty"),
        (["tlx.train", "backbone.weights="], "backbone.weights= is empty"),
        (["tlx.classify", "data.root="], "data.root= is empty"),
        (["tlx.data", "check", "data=auto", "data.root=x", "output="], "output= is empty"),
        (["tlx.evaluate", "checkpoint=x", "root="], "root= is empty"),
        (["tlx.predict", "model=x", "source="], "source= is empty"),
        (["tlx.export", "checkpoint=x", "format=onnx", "output="], "output= is empty"),
        (["tlx.classify.export", "checkpoint="], "checkpoint= is empty"),
        (["tlx.report", ""], "an argument is empty"),
        (["tlx.inspect", "x", "--root="], "--root= is empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)  # fmt: skip
def test_a_bad_value_is_found_before_anything_is_written(
    arguments: list[str], words: str, tmp_path: Path
) -> None:
    done = run_program(*arguments, cwd=tmp_path, timeout=120)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert words in line
    assert not list(tmp_path.iterdir())


def test_the_check_of_data(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    given = ["data=gunz", f"output={tmp_path}"], ["data=voc", "data.rooot=/x", f"output={tmp_path}"]
    for arguments, meant in zip(given, ("data=guns?", "data.root=/x?"), strict=True):
        assert exit_code("check", *arguments) == 2
        assert capsys.readouterr().err.strip().endswith(f"did you mean {meant}")
    assert exit_code("check", "data=auto", "data.root=", f"output={tmp_path}") == 2
    assert "data.root= is empty" in capsys.readouterr().err
    assert exit_code("chek", f"output={tmp_path}") == 2
    assert "did you mean check?" in capsys.readouterr().err


def test_options_of_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        report_main(["runs", "--map-levl", "0.5"])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told == "python -m tlx.report: --map-levl is not a key: did you mean --map-level?\n"
