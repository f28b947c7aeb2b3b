"""Fingerprints: pinned, so that runs of earlier versions stay what they are."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.conftest import Compose
from tlx.config.check import conf_dir
from tlx.config.identity import fingerprint, run_label, settings
from tlx.config.schema import SCHEMAS, ClassifyConfig, Config, FoldersConfig, TrainerConfig
from tlx.config.typed import plain
from tlx.records.arms import arm_key, arm_settings

# What versions up to 0.3.0 had for defaults.
OF_0_3 = ("trainer=sgd", "detector.head=ssd")
OF_0_3_OUTSIDE_THE_SAMPLE = ("data.zoom_out=4.0", "data.batch_size=24")
# As version 0.2.0 gave them, before there was a rule for later keys.
PINNED = {
    "": "6da7f16f64d2",
    "freeze=4 seed=3": "cbd8e2198595",
    "data=guns data.root=/data/guns": "73c561a256f7",
    "data=guns data.root=/data/guns freeze=all policy=two_phase": "9a2b6a2efd41",
    "experiment=published_guns data.root=/data/guns freeze=8 trainer.epochs=40 trainer.val_every=1 "
    "cache=auto": "7ce903fc0c00",  # what the experiment had
    "policy=auto": "41be27be74b9",
    "data=yolo data.root=/d data.splits=cut": "e20510c0b7b0",
    "data=voc data.root=/d data.fixes=/f.json": "ea753a022087",
    "backbone.weights=scratch cache.views=4 trainer.precision=bf16-mixed": "82f064d2582d",
}
PINNED_CLASSIFY = {
    "": "2e06656a2449",
    "data.root=/data/birds freeze=all policy=two_phase": "365637f9e46b",
}


@pytest.mark.parametrize("overrides", PINNED)
def test_fingerprints_are_those_of_earlier_versions(
    overrides: str, compose_config: Compose
) -> None:
    asked = overrides.split()
    given = OF_0_3 if "experiment" not in overrides else ()
    if "data=" in overrides:
        given += OF_0_3_OUTSIDE_THE_SAMPLE
    assert fingerprint(plain(compose_config(*given, *asked))) == PINNED[overrides]


def test_the_short_key_of_weights_makes_the_same_run(compose_config: Compose) -> None:
    others = (*OF_0_3, "cache.views=4", "trainer.precision=bf16-mixed")
    long = compose_config("backbone.weights=scratch", *others)
    short = compose_config("weights=scratch", *others)
    assert short.backbone.weights == "scratch"
    assert run_label(plain(short)) == run_label(plain(long))
    assert (
        fingerprint(plain(short))
        == PINNED["backbone.weights=scratch cache.views=4 trainer.precision=bf16-mixed"]
    )
    assert arm_key(arm_settings(plain(short))) == arm_key(arm_settings(plain(long)))
    elsewhere = compose_config("task=classify", "weights=a.pth")
    assert elsewhere.backbone.weights == "a.pth"


def test_every_backbone_takes_the_short_key_over() -> None:
    files = sorted((conf_dir() / "backbone").glob("*.yaml"))
    assert len(files) > 3
    for file in files:
        assert "\nweights: ${weights}\n" in file.read_text("utf-8"), file


@pytest.mark.parametrize("overrides", PINNED_CLASSIFY)
def test_fingerprints_of_classifications_are_those_of_earlier_versions(
    overrides: str, compose_config: Compose
) -> None:
    cfg = compose_config("task=classify", "trainer=sgd", *overrides.split())
    assert fingerprint(plain(cfg)) == PINNED_CLASSIFY[overrides]


@dataclass
class LaterTrainer(TrainerConfig):
    nesterov: bool = False


@dataclass
class Extra:
    amount: int = 3


@dataclass
class LaterConfig(Config):
    trainer: TrainerConfig = field(default_factory=LaterTrainer)
    extra: Extra = field(default_factory=Extra)


def test_a_later_key_says_nothing_while_it_has_its_default(
    compose_config: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SCHEMAS, "detect", LaterConfig)
    old = plain(compose_config(*OF_0_3))

    def later(**changes: Any) -> str:
        values: Any = copy.deepcopy(old)
        for key, value in changes.items():
            group, _, name = key.partition("_")
            values.setdefault(group, {})[name] = value
        return fingerprint(values)

    assert later(trainer_nesterov=False, extra_amount=3) == fingerprint(old) == PINNED[""]
    other = {later(trainer_nesterov=True), later(extra_amount=4), later(extra_amount=5)}
    assert len(other | {PINNED[""]}) == 4
    assert settings(old)["extra.amount"] == 3, "a stored configuration lacks what came later"


@dataclass
class LaterFolders(FoldersConfig):
    mirror: bool = True


@dataclass
class LaterClassify(ClassifyConfig):
    data: FoldersConfig = field(default_factory=LaterFolders)


def test_a_later_key_of_classifications(
    compose_config: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    values: Any = plain(compose_config("task=classify", "trainer=sgd"))
    monkeypatch.setitem(SCHEMAS, "classify", LaterClassify)
    values["data"]["mirror"] = True
    assert fingerprint(values) == PINNED_CLASSIFY[""]
    values["data"]["mirror"] = False
    assert fingerprint(values) != PINNED_CLASSIFY[""]


def test_every_key_of_a_policy_that_is_not_tlx_s_own_counts(compose_config: Compose) -> None:
    values: Any = plain(compose_config())
    prints = set()
    for every in (1, 2):
        values["policy"] = {"name": "gradual", "every": every}
        prints.add(fingerprint(values))
    assert len(prints) == 2


def test_a_key_that_a_detector_does_not_read_makes_no_other_run(compose_config: Compose) -> None:
    """`detector.name` over the default's group brings its heads along."""
    preset = plain(compose_config("detector=ssd_tf", "backbone=mobilenet_v1"))
    named = plain(compose_config("detector.name=ssd_tf", "backbone=mobilenet_v1"))
    assert fingerprint(named) == fingerprint(preset)
    assert fingerprint(plain(compose_config())) != fingerprint(plain(compose_config(*OF_0_3[1:])))


def test_a_zoom_that_an_augmentation_does_not_have_makes_no_arm(compose_config: Compose) -> None:
    for augment, arms in (("light", 1), ("off", 1), ("ssd", 2)):
        configs = [
            compose_config(f"data.augment={augment}", f"data.zoom_out={zoom}") for zoom in (1, 4)
        ]
        assert len({arm_key(arm_settings(plain(cfg))) for cfg in configs}) == arms
