"""The classifier as a network: freezing, weights of other networks, export form."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.classify.helpers_classify import classifier_of, write_checkpoint, write_set
from tests.models.helpers_engine import detector_of
from tlx.classify.checkpoint import load_classifier
from tlx.classify.export_network import ExportClassifier
from tlx.common.errors import FreezeError, WeightsError
from tlx.freeze.apply import apply_phase, check_phases, trainable_parameters
from tlx.freeze.policies.base import Phase
from tlx.models.backbones.base import backbone_spec
from tlx.models.backbones.weights import Pretrained, resolve
from tlx.models.normalisation import DETECTNET, Normalisation
from tlx.records.checkpoint import load_detector

NAMES = ["efficientnet_lite0", "mobilenet_v1", "mobilenet_v2"]


def test_freeze_depths_are_those_of_detectors() -> None:
    classifier, detector = classifier_of("mobilenet_v1"), detector_of("mobilenet_v1")
    for blocks in (0, 5, 9, 14):
        for network in (classifier, detector):
            apply_phase(network, Phase(0, blocks, blocks))
        counts = [
            sum(p.numel() for p in network.backbone.parameters() if not p.requires_grad)
            for network in (classifier, detector)
        ]
        assert counts[0] == counts[1]
    groups = trainable_parameters(classifier, (Phase(0, 14, 14),))
    assert not any(groups["base"])
    assert sum(p.numel() for block in groups["head"] for p in block) == 3 * 1024 + 3


def test_random_weights_are_not_frozen() -> None:
    with pytest.raises(FreezeError, match="random weights: Conv2d_0"):
        check_phases(classifier_of("mobilenet_v1"), (Phase(0, 1, 1),))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fed", [None, DETECTNET])
def test_export_form_equals_the_network(name: str, fed: Normalisation | None) -> None:
    classifier = classifier_of(name)
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.manual_seed(1))
    wanted = classifier.probabilities(images)
    assert float(wanted.std()) > 0.01  # not the same for every picture and class
    normalisation = fed or Normalisation.of(classifier)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (normalisation.mean, normalisation.std))
    network = ExportClassifier(classifier, normalisation)
    found = torch.cat([network((one[None] - mean) / std) for one in images])
    assert torch.allclose(found, wanted, atol=5e-5)
    assert torch.allclose(found.sum(1), torch.ones(2))


def test_a_detector_lends_its_backbone_and_the_other_way_round(tmp_path: Path) -> None:
    detector = detector_of("mobilenet_v1")
    classifier = classifier_of("mobilenet_v1")
    classifier.load_pretrained(
        Pretrained(detector.state_dict(), detector.conventions, "detector.ckpt", None)
    )
    theirs, own = detector.backbone.state_dict(), classifier.backbone.state_dict()
    assert all(torch.equal(own[key], theirs[key]) for key in theirs)
    assert len(classifier.loaded) == 14
    root = write_set(tmp_path / "set", {"train": 1, "val": 1, "test": 1})
    source = write_checkpoint(tmp_path / "c.ckpt", root)
    pretrained = resolve(backbone_spec("mobilenet_v1"), str(tmp_path / "c.ckpt"))
    before = detector.heads.classify[0].weight.clone()
    detector.load_pretrained(pretrained)
    assert torch.equal(
        detector.backbone.blocks["Conv2d_3"].depthwise.conv.weight,
        source.backbone.blocks["Conv2d_3"].depthwise.conv.weight,
    )
    assert torch.equal(detector.heads.classify[0].weight, before)


def test_checkpoints_know_what_they_hold(tmp_path: Path) -> None:
    path = tmp_path / "c.ckpt"
    source = write_checkpoint(path, write_set(tmp_path / "set", {"train": 1, "val": 1, "test": 1}))
    loaded, meta = load_classifier(path)
    images = torch.randint(0, 256, (1, 3, 64, 64))
    assert torch.equal(loaded.probabilities(images), source.probabilities(images))
    assert meta["classes"] == ["blue", "green", "red"]
    with pytest.raises(WeightsError, match="is a classifier, not a detector"):
        load_detector(path)
    torch.save({"tlx": {"backbone": "mobilenet_v1"}, "state_dict": {}}, tmp_path / "d.ckpt")
    with pytest.raises(WeightsError, match="no classifier of tlx"):
        load_classifier(tmp_path / "d.ckpt")
