"""Configuration: every file composes, every spelling works, nonsense is refused before loading."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf, ValidationError

import tlx.train
from tests.conftest import Compose
from tests.helpers_process import run_program
from tlx.common.errors import ConfigError
from tlx.config.check import check_config, conf_dir
from tlx.config.composition import _for_hydra, composed
from tlx.config.identity import fingerprint, run_label
from tlx.config.typed import plain
from tlx.freeze.depth import freeze_label, frozen_blocks
from tlx.models.backbones.base import backbone_spec
from tlx.models.blocks import as_blocks
from tlx.models.detectors.ssd.extras import EXTRA_NAMES

CONF = conf_dir()
FILES = sorted(p.relative_to(CONF) for p in CONF.rglob("*.yaml"))


def header_command(path: Path) -> list[str]:
    """The arguments of the command that a file starts with."""
    prefix = "# python -m tlx.train "
    lines = [line for line in (CONF / path).read_text().splitlines()[:3] if line.startswith(prefix)]
    assert lines, f"{path} does not start with the command that uses it"
    return shlex.split(lines[0].removeprefix(prefix))


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_files_own_command_composes_and_passes_the_checks(
    path: Path, compose_config: Compose
) -> None:
    arguments = header_command(path)
    if path.parent != Path(".") and path.stem not in ("default", "ssd"):
        assert f"{path.parent}={path.stem}" in arguments
    # A sweep's first job: Hydra's sweeper splits the values, composition alone does not.
    cfg = compose_config(*(a.split(",")[0] for a in arguments if not a.startswith("-")))
    assert check_config(cfg)
    assert run_label(plain(cfg))


@pytest.mark.parametrize(
    ("override", "frozen"),
    [("freeze=4", 5), ("freeze='4'", 5), ('freeze="4"', 5), ("freeze=none", 0), ("freeze=all", 17),
     ("freeze=heads", 21), ("freeze=0", 1), ("freeze=mbconv_4", 5)],
)  # fmt: skip
def test_spellings_of_freeze(override: str, frozen: int, compose_config: Compose) -> None:
    cfg = compose_config(override)
    spec = backbone_spec(cfg.backbone.name)
    assert frozen_blocks(cfg.freeze, spec, EXTRA_NAMES) == as_blocks(frozen)
    assert check_config(cfg)[0].frozen == as_blocks(frozen)


def test_equal_spellings_share_a_run_and_differences_do_not(compose_config: Compose) -> None:
    assert fingerprint(plain(compose_config("freeze=4"))) == fingerprint(
        plain(compose_config("freeze='4'"))
    )
    base = fingerprint(plain(compose_config()))
    for same in ("logger=none", "runs_dir=elsewhere", "trainer.workers=0", "name=x"):
        assert fingerprint(plain(compose_config(same))) == base
    for other in ("seed=1", "freeze=4", "trainer.base_lr=0.5", "data.split_seed=3"):
        assert fingerprint(plain(compose_config(other))) != base


def test_seed_zero_is_a_seed(compose_config: Compose) -> None:
    cfg = compose_config("seed=0")
    check_config(cfg)
    assert "seed=0" in run_label(plain(cfg))
    assert fingerprint(plain(cfg)) != fingerprint(plain(compose_config("seed=1")))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.epochs=0", "trainer.epochs=0 must be at least 1"),
        ("seed=-1", "seed=-1"),
        ("freeze=-1", "not understood"),
        ("freeze=17", "past the last block"),
        ("freeze=null", "not understood"),
        ("backbone.weights=scratch freeze=4", "random weights"),
        ("weights=scratch freeze=4", "random weights"),
        ("weights=a.pth backbone.weights=b.pth", "say two things"),
        ("weights=a.pth backbone.weights=auto", "say two things"),
        ("data=voc", "data.root"),
        ("data.val_fraction=0.6 data.test_fraction=0.5", "leave something"),
        ("trainer.select_by=loss", "none of map, map_50, map_75"),
        ("policy=two_phase freeze=none", "deeper"),
        ("policy=two_phase freeze=all policy.unfreeze_at=1", "empty"),
        ("policy=two_phase freeze=all policy.lr_scale=fast", "lr_scale"),
        ("+policy.typo=1", "typo"),
        ("backbone.name=resnet", "none of efficientnet_lite0, mobilenet_v1"),
        ("policy.name=magic", "none of auto, autofreeze"),
        ("policy=lora freeze=all policy.alpha=inf", r"^policy\.alpha=inf must be a finite number$"),
        ("policy=two_phase freeze=all policy.unfreeze_at=nan", "unfreeze_at=nan must be a finite"),
        ("policy=two_phase freeze=all policy.lr_scale=nan", "lr_scale=nan must be a finite"),
        ("trainer.base_lr=inf", "trainer.base_lr=inf must be a finite"),
        ("tune.trials=2 tune.minutes=inf", "tune.minutes=inf must be a finite"),
        ("policy=two_phase freeze=all policy.then=99", r"^policy\.then: freeze=99 goes past"),
        ("policy=gradual_unfreezing freeze=all policy.until=99", r"^policy\.until: freeze=99 goes"),
        ("policy=auto policy.depths=[none,99]", r"^policy\.depths: freeze=99 goes past"),
    ],
)
def test_nonsense_is_refused_with_what_to_do(
    override: str, message: str, compose_config: Compose
) -> None:
    cfg = compose_config(*override.split())
    with pytest.raises(ConfigError, match=message):
        check_config(cfg)


@pytest.mark.parametrize(
    "override",
    ["trainer.epoch=3", "trainer.epochs=many", "freezes=4", "backbone=vgg", "data.root=[1]"],
)
def test_unknown_keys_and_wrong_types_are_refused_by_the_schema(
    override: str, compose_config: Compose
) -> None:
    with pytest.raises((HydraException, ValidationError)) as caught:
        compose_config(override)
    assert override.partition("=")[0] in str(caught.value)


def test_labels_are_text() -> None:
    assert freeze_label(4) == freeze_label("4") == "4"


def test_help_answers_the_first_questions() -> None:
    done = run_program("tlx.train", "--help")
    assert done.returncode == 0
    for words in (
        "freeze=none|N|NAME|all|neck",
        "mobilenet_v1",
        "two_phase",
        "resume=RUN_DIR",
        "-m",
    ):
        assert words in done.stdout


def test_a_wrong_command_line_is_one_readable_line(tmp_path: Path) -> None:
    done = run_program("tlx.train", "freeze=99", f"hydra.run.dir={tmp_path}")
    assert done.returncode == 2
    assert "past the last block of efficientnet_lite0" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: [1", "expected ',' or ']'"),
        ("defaults: 3", "defaults must be a list"),
        ("# @package _global_\ntrainer:\n  epochs: many", "'many'"),
        ("# @package _global_\nseed: ${nothing:1}", "nothing"),
    ],
)
def test_a_damaged_experiment_is_one_line(
    tmp_path: Path, text: str, message: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    monkeypatch.setattr(sys, "argv", ["train", "--config-dir", str(tmp_path), "experiment=mine"])
    with pytest.raises(SystemExit) as end:
        tlx.train.main()
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert message in said
    assert len(said.splitlines()) == 1


def test_values_at_the_root_of_an_experiment_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the command, with a folder of one's own; the command line still comes last."""
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\nfreeze: 8\nseed: 5\nname: mine\ntrainer:\n  epochs: 3\n"
    )
    done = run_program("tlx.train", "--config-dir", tmp_path, "experiment=mine", "seed=7",
                       "--cfg", "job")  # fmt: skip
    assert done.returncode == 0, done.stderr
    cfg = OmegaConf.create(done.stdout)
    assert (cfg.freeze, cfg.seed, cfg.name, cfg.trainer.epochs) == (8, 7, "mine", 3)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("detector=ssd_tf backbone=mobilenet_v1 detector.neck=fpn", "neck=fpn does nothing with"),
        ("detector=ssd300_vgg16 backbone=vgg16 detector.head=shared", "head=shared does nothing"),
        ("detector.depth=7", "depth=7 does nothing with detector.neck=extras detector.head=hidden"),
        ("detector.head=ssd detector.width=64", "width=64 does nothing"),
        ("detector.head=shared detector.norm=batch", "norm=batch does nothing"),
        ("detector.head=hidden detector.norm=batch", "norm=batch does nothing"),
        (
            "freeze=all policy=gradual_unfreezing policy.patience=2 policy.every=3",
            "every=3 does noth",
        ),
    ],
)
def test_keys_that_do_nothing_are_refused(given: str, told: str, compose_config: Compose) -> None:
    """They would make arms and folders of their own, of the same run."""
    with pytest.raises(ConfigError, match=told):
        check_config(compose_config(*given.split()))


@pytest.mark.parametrize(
    "given",
    ["detector.head=shared detector.depth=2", "detector.head=hidden detector.width=64",
     "detector.neck=fpnlite detector.width=64", "detector.head=hidden detector.norm=none",
     "detector=ssd_fpn_640", "detector=ssd_fpnlite_640"],
)  # fmt: skip
def test_keys_that_are_read_pass(given: str, compose_config: Compose) -> None:
    check_config(compose_config(*given.split()))


def test_a_configuration_is_composed_inside_a_hydra_program() -> None:
    """As a sweep's report does when it ends, and a program of one's own that has a study."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        assert composed(["seed=3"]).seed == 3
        assert compose("config", overrides=["seed=4"]).seed == 4, "the outer one is as it was"
        with pytest.raises(ConfigError, match="sed"):
            composed(["sed=3"])
        assert compose("config", overrides=["seed=5"]).seed == 5


def test_the_flag_of_a_sweep_may_stand_anywhere() -> None:
    given = ["freeze=none,4", "-m", "data.epochs=1", "seed=0,1"]
    assert _for_hydra(given) == ["-m", "freeze=none,4", "data.epochs=1", "seed=0,1"]


def test_a_first_beta_of_one_is_refused_before_anything_loads() -> None:
    with pytest.raises(ConfigError, match=r"trainer\.momentum=1.* must be"):
        check_config(composed(["trainer.momentum=1"]))


@pytest.mark.parametrize(
    ("train", "freeze"), [("first", "3.."), ("heads", "neck"), ("all", "none")]
)
def test_what_trains_says_what_is_frozen(train: str, freeze: str) -> None:
    assert composed([f"train={train}"]).freeze == freeze
    assert _for_hydra(["-m", f"train=all,{train}"]) == ["-m", f"freeze=none,{freeze}"]
