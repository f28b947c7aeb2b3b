"""Whether detections are a choice that given tensors allow, by hand; whole exports with a fault."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import SHARED
from tests.export.helpers_export import save_pictures, write_checkpoint, write_pytorch_ssd, written
from tests.test_programs import program
from tlx.common.errors import ExportError
from tlx.export import run
from tlx.export.parity import check
from tlx.export.parity_choice import Slack, unexplained
from tlx.models.detectors.ssd.ssd import SSD
from tlx.models.postprocess import CANDIDATES
from tlx.runtime.postprocess import Found, select_all
from tlx.runtime.source import Source, load_source

OPTIONS = {"score_threshold": 0.01, "nms_iou": 0.45, "max_detections": 100}
SLACK = Slack(1e-3, 1e-3)
# x1 of boxes .2 wide and 1 high; of the first three the middle one overlaps both others by .6.
ROWS = [(0.0, 1, 0.9), (0.05, 1, 0.9), (0.10, 1, 0.8), (0.5, 2, 0.7), (0.5, 1, 0.2)]
OVERLAP = 0.15 / 0.25


def tensors(rows: list[tuple[float, int, float]] = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """(x, label, score) a prior -> scores (P, 3) and boxes (P, 4)."""
    boxes = np.array([[x, 0, x + 0.2, 1] for x, _, _ in rows], np.float32)
    scores = np.zeros((len(rows), 3), np.float32)
    for prior, (_, label, score) in enumerate(rows):
        scores[prior, [0, label]] = 1 - score, score
    return scores, boxes


def found(*rows: tuple[float, int, float]) -> Found:
    boxes = np.array([[x, 0, x + 0.2, 1] for x, _, _ in rows], np.float32).reshape(-1, 4)
    labels = np.array([label for _, label, _ in rows], np.int64)
    return Found(boxes, np.array([score for *_, score in rows], np.float32), labels)


def wrong(choice: Found, slack: Slack = SLACK, **options: float) -> int:
    return unexplained(choice, *tensors(), OPTIONS | options, slack, 0.3)[0]


def test_either_of_two_equal_boxes_may_stay() -> None:
    """The overlap of first and third, .33, is allowed: the flip changes how many there are."""
    (chosen,) = select_all(*(array[None] for array in tensors()), **OPTIONS)
    assert chosen.boxes[:, 0].tolist() == pytest.approx([0, 0.1, 0.5, 0.5])
    assert wrong(chosen) == 0
    assert wrong(found((0.05, 1, 0.9), (0.5, 2, 0.7))) == 0
    assert unexplained(chosen, *tensors(), OPTIONS, SLACK, 0.3) == (0, 3 + 4)


@pytest.mark.parametrize(
    ("choice", "count"),
    [
        ([(0.10, 1, 0.8), (0.5, 2, 0.7)], 2),  # the better two lack, and nothing as good stays
        ([(0.0, 1, 0.9), (0.10, 1, 0.8)], 1),  # one is left out
        ([*ROWS[:1], *ROWS[:4]], 3),  # nothing was suppressed
        ([(0.0, 1, 0.9), (0.10, 1, 0.8), (0.5, 1, 0.7)], 2),  # another class
        ([(0.0, 1, 0.9), (0.10, 1, 0.8), (0.52, 2, 0.7)], 1),  # another place
        ([(0.0, 1, 0.9), (0.10, 1, 0.8), (0.5, 2, 0.75)], 1),  # another score
    ],
)
def test_what_no_rounding_explains(choice: list, count: int) -> None:
    assert wrong(found(*choice)) == count


def test_an_overlap_next_to_the_limit_goes_either_way() -> None:
    both = found(*ROWS[:2], ROWS[3])
    either = found(ROWS[0], ROWS[2], ROWS[3])
    assert wrong(both, nms_iou=OVERLAP + 1e-3) == wrong(either, nms_iou=OVERLAP + 1e-3) == 0
    assert wrong(both, nms_iou=OVERLAP - 0.05) > 0
    assert wrong(either, nms_iou=OVERLAP + 0.05) > 0


def test_a_full_list_may_end_with_any_of_equal_scores() -> None:
    assert wrong(found(*ROWS[:1]), max_detections=1) == 0
    assert wrong(found(*ROWS[1:2]), max_detections=1) == 0
    assert wrong(found(ROWS[2]), max_detections=1) == 2


def spoil_heads(detector: SSD) -> None:
    """The two classes turned."""
    for head in detector.heads.classify:
        for values in (head.weight.data, head.bias.data):
            shaped = values.view(-1, 3, *values.shape[1:])
            shaped[:, [1, 2]] = shaped[:, [2, 1]]


def spoil_priors(detector: SSD) -> None:
    """Half a cell of the finest map to the right."""
    detector.priors[:, 0] += 0.5 / 6


def spoil_normalisation(detector: SSD) -> None:
    """What ImageNet's networks take, given to one that takes x / 127.5 - 1."""
    detector.conventions = dataclasses.replace(
        detector.conventions, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
    )


@pytest.mark.parametrize("format", ["onnx", "onnx_nms"])
@pytest.mark.parametrize("spoil", [None, spoil_heads, spoil_priors, spoil_normalisation])
def test_real_faults_are_refused(
    format: str,
    spoil: Callable[[SSD], None] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The artefact is one of a spoilt network, under the description of the checkpoint."""
    pytest.importorskip("onnxruntime", reason="not installed: pip install 'tlx-detect[edge]'")
    write_checkpoint(tmp_path / "best.ckpt")
    save_pictures(tmp_path / "pictures")

    def spoilt(path: Path, labels: Path | None = None) -> Source:
        source = load_source(path, labels)
        if spoil:
            spoil(source.detector)
        return source

    monkeypatch.setattr(run, "load_source", spoilt)
    artefact = written(tmp_path / "best.ckpt", format, tmp_path / "out", normalisation="model").path
    ways = {"cache_dir": tmp_path, "pictures": tmp_path / "pictures"}
    if spoil is None:
        result = check(tmp_path / "best.ckpt", artefact, **ways)
        assert (result["passed"], result["unexplained"]) == (True, 0)
        return
    with pytest.raises(ExportError, match="contradict the checkpoint's scores and boxes"):
        check(tmp_path / "best.ckpt", artefact, **ways)


def test_another_overlap_inside_the_graph_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime", reason="not installed: pip install 'tlx-detect[edge]'")
    from tlx.export import formats

    inner = formats.with_nms
    monkeypatch.setattr(formats, "with_nms", lambda m, options: inner(m, options | {"nms_iou": 1}))
    write_checkpoint(tmp_path / "best.ckpt")
    save_pictures(tmp_path / "pictures")
    artefact = written(tmp_path / "best.ckpt", "onnx_nms", tmp_path / "out").path
    with pytest.raises(ExportError, match="contradict the checkpoint's scores and boxes"):
        check(tmp_path / "best.ckpt", artefact, cache_dir=tmp_path, pictures=tmp_path / "pictures")


def exported(checkpoint: Path, folder: Path, cache: Path, *more: str) -> str:
    """What the program says."""
    done = program("export", f"checkpoint={checkpoint}", "format=onnx", "opset=11",
                   "output=out", f"cache_dir={cache}", *more, cwd=folder)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_scores_next_to_each_other_do_not_refuse_an_export(
    tmp_path: Path, sample_cache: Path
) -> None:
    """Hundreds of priors with one score but for rounding: half of the detections differ."""
    pytest.importorskip("onnxruntime", reason="not installed: pip install 'tlx-detect[edge]'")
    write_pytorch_ssd(tmp_path / "mb1.pth")
    state = torch.load(tmp_path / "mb1.pth")
    for key in (key for key in state if key.startswith("classification_headers")):
        state[key] *= 1e-3 if key.endswith("weight") else 0
        if key.endswith("bias"):
            state[key].view(-1, 3)[:, 1] += 2
    torch.save(state, tmp_path / "mb1.pth")
    save_pictures(tmp_path / "pictures", 8)
    said = exported(tmp_path / "mb1.pth", tmp_path, sample_cache, "parity=pictures")
    assert "of the checkpoint's detections come out otherwise, each by a choice between" in said


@pytest.mark.shared_data
def test_the_published_layout_exports_with_nothing_else_given(
    tmp_path: Path, sample_cache: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="not installed: pip install 'tlx-detect[edge]'")
    # On the embedded sample.
    said = exported(SHARED / "golden" / "mb1-ssd-pytorch-ssd.pth", tmp_path, sample_cache)
    assert "64 pictures (test of the sample, onnxruntime)" in said


def test_what_is_no_candidate_is_not_asked_for() -> None:
    """On many priors a crowd is larger than what NMS looks at: the artefact need not show it."""
    count = 2 * CANDIDATES
    generator = np.random.default_rng(0)
    likely = generator.uniform(0.4, 0.9, count).astype(np.float32)
    scores = np.stack([1 - likely, likely], 1)
    corners = np.arange(count, dtype=np.float32)[:, None] / count
    boxes = np.concatenate([corners, corners, corners + 0.4 / count, corners + 0.4 / count], 1)
    options = OPTIONS | {"max_detections": count}
    (chosen,) = select_all(scores[None], boxes[None], **options)
    assert len(chosen.scores) == CANDIDATES
    assert unexplained(chosen, scores, boxes, options, SLACK, 0.3)[0] == 0
    fewer = Found(chosen.boxes[50:], chosen.scores[50:], chosen.labels[50:])
    assert unexplained(fewer, scores, boxes, options, SLACK, 0.3)[0] > 20
