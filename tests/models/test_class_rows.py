"""Class predictors of a start stay with their classes, by name."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from tests.export.helpers_export import write_pytorch_ssd
from tlx.models.backbones.base import backbone_spec
from tlx.models.backbones.weights import Pretrained, resolve
from tlx.models.detector import Detector, build_detector
from tlx.starts import published

THEIRS, OURS = ["cat", "Dog", "person"], ["person", "plate", "dog"]
SPEC = backbone_spec("mobilenet_v1")


def made(classes: list[str], seed: int, options: dict) -> Detector:
    torch.manual_seed(seed)
    detector = build_detector("ssd", SPEC, SPEC.conventions, len(classes), 96, options)
    with torch.no_grad():
        for parameter in detector.heads.parameters():
            parameter.normal_()
    return detector.eval()


def start_of(detector: Detector, classes: list[str] | None) -> Pretrained:
    named = tuple(classes) if classes else None
    return Pretrained(detector.state_dict(), SPEC.conventions, "a file", None, classes=named)


@pytest.mark.parametrize(
    "options",
    [{}, {"head": "hidden"}, {"head": "ssdlite"}, {"head": "shared", "neck": "fpnlite"}],
    ids=["ssd", "hidden", "ssdlite", "shared"],
)
@pytest.mark.parametrize("ours", [OURS, [*OURS, "bus"]], ids=["as many", "more"])
def test_logits_of_the_same_classes_stay(
    options: dict, ours: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    start, detector = made(THEIRS, 0, options), made(ours, 1, options)

    with caplog.at_level(logging.INFO):
        detector.load_pretrained(start_of(start, THEIRS), ours)
    assert f"taken for person, dog of {', '.join(ours)}" in caplog.text
    x = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        (theirs, boxes), (found, same) = start(x), detector(x)
    assert torch.allclose(boxes, same, atol=1e-4)
    background = options.get("head") != "shared"
    pairs = [(0, 2), (2, 1)]  # place of the class here and there
    columns = [(a + background, b + background) for a, b in pairs]
    for ours_at, theirs_at in [*([(0, 0)] if background else []), *columns]:
        assert torch.allclose(found[..., ours_at], theirs[..., theirs_at], atol=1e-3)
    # What the start does not know is as it was: of no class of the start's.
    plate = found[..., 1 + background]
    assert all(not torch.allclose(plate, theirs[..., i], atol=1e-2) for i in range(theirs.shape[2]))


def test_without_names_the_number_of_classes_decides() -> None:
    start, detector = made(THEIRS, 0, {}), made(OURS, 1, {})
    detector.load_pretrained(start_of(start, None), OURS)
    for key, value in start.heads.state_dict().items():
        assert torch.equal(detector.heads.state_dict()[key], value)


def test_labels_beside_a_file_are_its_classes(tmp_path: Path) -> None:
    write_pytorch_ssd(tmp_path / "mb1.pth")
    assert resolve(SPEC, str(tmp_path / "mb1.pth")).classes is None
    (tmp_path / "labels.txt").write_text("BACKGROUND\ncat\ndog\n")
    assert resolve(SPEC, str(tmp_path / "mb1.pth")).classes == ("cat", "dog")


def test_published_detectors_say_theirs() -> None:
    coco = published.find("ssd_mobilenet_v1@coco").classes()
    voc = published.find("ssd_mobilenet_v1@voc").classes()
    assert coco is not None
    assert voc is not None
    assert (len(coco), coco[0], coco[89]) == (90, "person", "toothbrush")
    assert (len(voc), voc[0], voc[19]) == (20, "aeroplane", "tvmonitor")
    assert published.find("mobilenet_v2@imagenet").classes() is None


@pytest.mark.parametrize(
    ("start", "ours"),
    [
        ({"head": "shared", "depth": 1}, {"head": "shared", "depth": 3}),
        ({"neck": "fpn"}, {"neck": "fpn", "head": "hidden"}),
        ({"neck": "none"}, {}),
        ({}, {"norm": "batch"}),
        ({"head": "hidden", "norm": "none"}, {"head": "hidden"}),
    ],
    ids=str,
)
def test_heads_of_which_a_part_is_new_are_left(
    start: dict, ours: dict, caplog: pytest.LogCaptureFixture
) -> None:
    """Predictors behind layers that nobody trained are no start."""
    detector = made(THEIRS, 1, ours)
    before = {k: v.clone() for k, v in detector.heads.state_dict().items()}
    with caplog.at_level(logging.INFO):
        detector.load_pretrained(start_of(made(THEIRS, 0, start), THEIRS), THEIRS)
    assert "left: " in caplog.text
    assert "heads.classify" not in caplog.text.split("left: ")[0]
    for key, value in detector.heads.state_dict().items():
        assert torch.equal(value, before[key])


def test_labels_on_one_line_and_labels_that_do_not_fit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_pytorch_ssd(tmp_path / "mb1.pth", 2)  # as many as ours: without names all were taken
    (tmp_path / "labels.txt").write_text("BACKGROUND,cat,dog\n")
    pretrained = resolve(SPEC, str(tmp_path / "mb1.pth"))
    assert pretrained.classes == ("cat", "dog")
    (tmp_path / "labels.txt").write_text("BACKGROUND\nBACKGROUND\ncat\ndog\n")
    pretrained = resolve(SPEC, str(tmp_path / "mb1.pth"))
    assert "BACKGROUND is always label 0" in caplog.text
    detector = made(["dog", "cat"], 1, {})
    before = {k: v.clone() for k, v in detector.heads.state_dict().items()}
    detector.load_pretrained(pretrained, ["dog", "cat"])
    assert "names 0 classes, which its class predictors do not fit" in caplog.text
    for key, value in detector.heads.state_dict().items():
        assert torch.equal(value, before[key])
