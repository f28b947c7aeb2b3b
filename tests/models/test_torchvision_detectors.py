"""torchvision's SSD300 and SSDLite: read from their state dicts, the same detections."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models.detection import ssd300_vgg16, ssdlite320_mobilenet_v3_large

from tlx.export.network import ExportNetwork
from tlx.models.backbones.base import backbone_spec
from tlx.models.backbones.weights import Pretrained, resolve
from tlx.models.detector import Detector, build_detector, detector_class
from tlx.models.normalisation import Normalisation

CLASSES = 3
CASES = [
    ("ssdlite", "mobilenet_v3_large_reduced", 320, ssdlite320_mobilenet_v3_large),
    ("ssd_vgg", "vgg16", 300, ssd300_vgg16),
]


def reference(make: Callable[..., Any]) -> Any:
    """torchvision's network with random weights, whose scores and boxes are spread."""
    torch.manual_seed(0)
    options = {
        "score_thresh": 0.3,
        "nms_thresh": 0.45,
        "topk_candidates": 10**6,
        "detections_per_img": 100,
    }
    net = make(
        weights=None, weights_backbone=None, num_classes=CLASSES + 1, **options
    ).eval()  # fmt: skip
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            # As many steps would leave it: the maps keep their scale.
            layer.momentum = None
            layer.train()
        elif isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    with torch.no_grad():
        net(list(pictures(2, 320) / 255))
    net.eval()
    outputs = net.backbone(net.transform([pictures(1, 320)[0] / 255])[0].tensors)
    with torch.no_grad():
        for name, head in net.head.named_children():
            rows = head(list(outputs.values()))
            wanted = 1.0 if name == "classification_head" else 0.5
            for predictor in head.module_list:
                last = [m for m in predictor.modules() if isinstance(m, nn.Conv2d)][-1]
                last.weight.mul_(wanted / rows.std())
    return net


def pictures(count: int, size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, size, size), generator=generator).float()


def read(name: str, backbone: str, size: int, classes: int, path: Path) -> Detector:
    spec = detector_class(name).backbone_for(backbone_spec(backbone))
    pretrained = resolve(spec, str(path))
    detector = build_detector(name, spec, pretrained.conventions, classes, size, {})
    detector.load_pretrained(pretrained)
    return detector.eval()


@pytest.mark.parametrize(("name", "backbone", "size", "make"), CASES)
def test_the_same_detections(
    name: str, backbone: str, size: int, make: Callable[..., Any], tmp_path: Path
) -> None:
    net, images = reference(make), pictures(1, size)
    with torch.no_grad():
        expected = net(list(images / 255))
    torch.save(net.state_dict(), tmp_path / "w.pth")
    detector = read(name, backbone, size, CLASSES, tmp_path / "w.pth")
    assert detector.loaded == {block for block, _ in detector.trunk()}
    with torch.no_grad():
        found = detector.detect(images, score_threshold=0.3, nms_iou=0.45, candidates=10**6)
    for ours, theirs in zip(found, expected, strict=True):
        assert len(theirs["scores"]) > 20
        assert len(ours.scores) == len(theirs["scores"])
        # Equal scores may stand in either order: each has its partner.
        rows = [
            torch.cat([boxes, scores[:, None], labels[:, None].float()], 1)
            for boxes, scores, labels in (
                (ours.boxes, ours.scores, ours.labels),
                (theirs["boxes"] / size, theirs["scores"], theirs["labels"]),
            )
        ]
        off = torch.cdist(rows[0], rows[1], p=torch.inf)
        assert off.amin(0).max() < 1e-4
        assert off.amin(1).max() < 1e-4
    # As exported: folded, the scores and boxes of all priors.
    with torch.no_grad():
        x = detector.normalize(images[:1])
        for exported, plain in zip(
            ExportNetwork(detector, Normalisation.of(detector))(x), detector.raw(x), strict=True
        ):
            assert torch.allclose(exported, plain, atol=1e-4)


@pytest.mark.parametrize(("name", "backbone", "size", "make"), CASES)
def test_of_other_classes_all_but_the_class_predictors_is_taken(
    name: str, backbone: str, size: int, make: Callable[..., Any], tmp_path: Path
) -> None:
    net = make(weights=None, weights_backbone=None, num_classes=CLASSES + 1)
    torch.save(net.state_dict(), tmp_path / "w.pth")
    detector = read(name, backbone, size, CLASSES + 2, tmp_path / "w.pth")
    assert detector.loaded == {block for block, _ in detector.trunk()}
    theirs = net.head.regression_head.module_list[0]
    ours: Any = detector.heads.regress[0]
    last = [m for m in theirs.modules() if isinstance(m, nn.Conv2d)][-1]
    assert torch.equal(getattr(ours, "project", ours).weight, last.weight)


@pytest.mark.parametrize(("start", "other"), [("ssd", "ssd_vgg"), ("ssd_vgg", "ssd")])
def test_two_detectors_on_vgg_take_nothing_but_the_backbone_of_one_another(
    start: str, other: str
) -> None:
    """Extra maps of one shape have other strides, and a norm's factors are no L2 scales."""
    spec = backbone_spec("vgg16")
    whole = build_detector(start, spec, spec.conventions, CLASSES, 300, {}).state_dict()
    state = {key: torch.zeros_like(value) for key, value in whole.items()}
    detector = build_detector(other, spec, spec.conventions, CLASSES, 300, {})
    before = {k: v.clone() for k, v in detector.state_dict().items() if "backbone" not in k}
    detector.load_pretrained(Pretrained(state, spec.conventions, "a file", None))
    assert detector.loaded == set(spec.blocks)
    extras = {k: v for k, v in before.items() if k.startswith(("extras.", "heads.norms."))}
    assert extras
    for key, value in extras.items():
        assert torch.equal(detector.state_dict()[key], value), key
