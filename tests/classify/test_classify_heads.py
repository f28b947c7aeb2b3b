"""The `mlp` head: its layers, checkpoint and exports, and runs as a course in Keras has them."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from tests.classify.helpers_classify import (
    CLASSES,
    classifier_of,
    config,
    tiny,
    write_checkpoint,
    write_set,
)
from tests.conftest import REPOSITORY
from tests.training.helpers_stop import rows, stop_next_run, weights
from tlx.api import load
from tlx.classify.checkpoint import load_classifier
from tlx.classify.export import ExportConfig, export
from tlx.classify.export_network import ExportClassifier
from tlx.common.errors import ConfigError, WeightsError
from tlx.config.check import check_config, conf_dir
from tlx.config.composition import composed
from tlx.models.backbones.weights import Pretrained
from tlx.models.normalisation import Normalisation
from tlx.training.run import run


def test_its_layers_are_those_of_the_course() -> None:
    layers = classifier_of("mobilenet_v1", head="mlp").heads.behind_pool()
    assert [type(layer) for layer in layers] == [
        nn.Linear, nn.ReLU, nn.Dropout, nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear
    ]  # fmt: skip
    widths = [layer.out_features for layer in layers if isinstance(layer, nn.Linear)]
    assert widths == [1024, 1024, 512, 3]
    # Keras counts 1,049,600 + 1,049,600 + 524,800 of these behind MobileNet's 1024 channels.
    counted = sum(p.numel() for layer in layers[:-1] for p in layer.parameters())
    assert counted == 2_624_000


def test_dropout_follows_the_head_unless_it_is_said() -> None:
    assert config().classifier.dropout == 0.2
    assert config("classifier.head=mlp").classifier.dropout == 0.5
    assert config("classifier.head=mlp", "classifier.dropout=0.1").classifier.dropout == 0.1
    with pytest.raises(ConfigError, match=r"classifier\.head=mpl is none of linear, mlp: did you"):
        check_config(config("classifier.head=mpl"))


def test_export_form_equals_the_network_with_a_batch_norm_before_the_pool() -> None:
    classifier = classifier_of("mobilenet_v2", head="mlp")
    assert isinstance(classifier.heads.norm, nn.BatchNorm2d)
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.manual_seed(1))
    wanted = classifier.probabilities(images)
    assert float(wanted.std()) > 0.01
    network = ExportClassifier(classifier, Normalisation.of(classifier))
    found = torch.cat([network(one[None]) for one in classifier.normalize(images)])
    assert torch.allclose(found, wanted, atol=5e-5)


def test_a_checkpoint_says_its_head_and_every_reader_takes_it(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="pip install -e '.[edge]'")
    root = write_set(tmp_path / "set", {"train": 1, "val": 1, "test": 2})
    path = tmp_path / "mlp.ckpt"
    source = write_checkpoint(path, root, head="mlp")
    loaded, _ = load_classifier(path)
    images = torch.randint(0, 256, (2, 3, 64, 64))
    assert torch.equal(loaded.probabilities(images), source.probabilities(images))
    out = export(ExportConfig(str(path), str(tmp_path / "out"), cache_dir=str(tmp_path / "c")))
    assert out.description["head"] == "mlp"
    assert out.description["parity"]["probabilities"] < 1e-5
    pixels = np.zeros((64, 64, 3), np.uint8)
    scores = {found.label: found.score for found in load(path).predict(pixels, threshold=0)}
    wanted = source.probabilities(torch.zeros(1, 3, 64, 64))[0]
    assert [scores[name] for name in CLASSES] == pytest.approx(wanted.tolist(), abs=1e-6)
    stored = torch.load(path, weights_only=True)
    stored["tlx"]["head"] = "forest"
    torch.save(stored, path)
    with pytest.raises(WeightsError, match="head=forest is none of linear, mlp"):
        load_classifier(path)


def test_a_checkpoint_of_before_there_was_a_choice_is_linear(tmp_path: Path) -> None:
    root, path = write_set(tmp_path / "set", {"train": 1, "val": 1, "test": 1}), tmp_path / "c.ckpt"
    source = write_checkpoint(path, root)
    stored = torch.load(path, weights_only=True)
    del stored["tlx"]["head"]
    torch.save(stored, path)
    images = torch.randint(0, 256, (1, 3, 64, 64))
    assert torch.equal(load_classifier(path)[0].probabilities(images), source.probabilities(images))


def test_a_head_of_another_kind_is_left_and_the_backbone_taken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    linear, mlp = classifier_of("mobilenet_v1"), classifier_of("mobilenet_v1", head="mlp")
    before = mlp.heads.behind_pool()[0].weight.clone()
    with caplog.at_level("INFO"):
        mlp.load_pretrained(Pretrained(linear.state_dict(), linear.conventions, "l.ckpt", None))
    assert len(mlp.loaded) == 14
    assert torch.equal(mlp.heads.behind_pool()[0].weight, before)
    assert "left: heads" in caplog.text


def test_the_workflow_of_the_course_resumes_to_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Keras index, frozen and then less so, a new head with dropout; the prefix from a cache."""
    root = write_set(tmp_path / "set", {"train": 4, "val": 1, "test": 1})
    write_checkpoint(tmp_path / "start.ckpt", root)
    common = [
        "backbone=mobilenet_v1", f"backbone.weights={tmp_path / 'start.ckpt'}", "cache=memory",
        "cache.views=1", "classifier.head=mlp", "freeze=keras:17", "policy=two_phase",
        "policy.then=keras:4", "policy.unfreeze_at=0.5", "policy.lr_scale=0.01",
        "trainer.checkpoint_minutes=0",
    ]  # fmt: skip
    cfg = tiny(root, tmp_path, *common)
    whole = run(cfg, tmp_path / "whole")
    assert whole["freeze"] == "keras:17"
    assert [phase["frozen_blocks"] for phase in whole["phases"]] == [3, 1]
    for phase in whole["phases"]:
        assert phase["hash_before"] == phase["hash_after"] is not None
    assert whole["engine"]["caches"][0]["used"]
    with monkeypatch.context() as patch:
        stop_next_run(patch, 2, crash=True)
        with pytest.raises(RuntimeError, match="killed"):
            run(cfg, tmp_path / "killed")
    resumed = run(cfg, tmp_path / "killed")
    assert resumed["resumes"] == 1
    assert resumed["test"] == whole["test"]
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")
    one, two = (weights(tmp_path / name, "last.ckpt") for name in ("whole", "killed"))
    assert all(torch.equal(one[key], two[key]) for key in one)
    stored = json.loads((tmp_path / "whole" / "record.json").read_text())
    assert stored["config"]["classifier"]["head"] == "mlp"


@pytest.mark.parametrize("task", [(), ("task=classify",)])
def test_the_study_is_composed_with_either_program(task: tuple[str, ...]) -> None:
    cfg = composed([*task, "experiment=classify_two_phase", "data.root=/data/birds"])
    assert (cfg.task, cfg.freeze, cfg.policy["name"]) == ("classify", "all", "two_phase")
    assert cfg.name == "classify_two_phase-birds"
    assert [phase.lr_scale for phase in check_config(cfg)] == [1.0, 0.01]
    swept = OmegaConf.load(conf_dir() / "experiment" / "classify_two_phase.yaml")
    values = dict(swept.hydra.sweeper.params)
    assert values["classifier.head"] == "mlp,linear"
    if task:
        for backbone in values["backbone"].split(","):
            check_config(composed([*task, "experiment=classify_two_phase", f"backbone={backbone}"]))


def test_the_study_can_be_asked_for_the_head_alone() -> None:
    """The keys of a second phase were the experiment's own, and no other policy took them."""
    cfg = composed(["experiment=classify_two_phase", "data.root=/data/birds", "policy=fixed"])
    assert [phase.lr_scale for phase in check_config(cfg)] == [1.0]


def test_the_commands_of_the_page_are_legal() -> None:
    """Each is composed and checked; what they would read is not here."""
    page = (REPOSITORY / "docs" / "classify.md").read_text("utf-8").replace("\\\n", " ")
    found = re.findall(r"^python -m tlx\.classify (?!.*(?:resume|--help))(.+)$", page, re.MULTILINE)
    assert len(found) > 4
    for line in found:
        given = [word for word in shlex.split(line, comments=True) if word != "-m"]
        check_config(composed(["task=classify", *(w.partition(",")[0] for w in given)]))
    for head, count in (("linear", "4,100"), ("mlp", "2,626,052")):
        network = classifier_of("mobilenet_v1", classes=4, head=head)
        assert f"{sum(p.numel() for p in network.heads.parameters()):,}" == count
        assert re.search(rf"^\| `{head}` \|.*\| {count} \|$", page, re.MULTILINE)
