"""When blocks are folded anew: after every change of theirs, and only then."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch

from tests.models.helpers_engine import CPU, chain, detector_of, off, originals, pictures
from tlx.models.detectors.ssd.ssd import SSD
from tlx.models.inference import InferenceBlocks


def load(detector: SSD) -> None:
    detector.load_state_dict({k: v * 1.01 for k, v in detector.state_dict().items()})


def load_assigned(detector: SSD) -> None:
    state = {k: v * 1.01 for k, v in detector.state_dict().items()}
    detector.load_state_dict(state, assign=True)


def step_with(optimizer: Callable[..., torch.optim.Optimizer]) -> Callable[[SSD], None]:
    def step(detector: SSD) -> None:
        parameters = list(detector.backbone.parameters())
        for parameter in parameters:
            parameter.grad = torch.randn_like(parameter)
        optimizer(parameters, lr=1e-2).step()

    return step


def run_in_train_mode(detector: SSD) -> None:
    detector.train()
    detector(pictures())  # moves the running statistics and nothing else
    detector.eval()


CHANGES: dict[str, Callable[[SSD], object]] = {
    "load_state_dict": load,
    "load_state_dict, assigned": load_assigned,
    "SGD": step_with(lambda p, lr: torch.optim.SGD(p, lr, foreach=False)),
    "SGD, all at once": step_with(lambda p, lr: torch.optim.SGD(p, lr, foreach=True)),
    "AdamW": step_with(torch.optim.AdamW),
    "batch norm in train mode": run_in_train_mode,
}


@pytest.mark.parametrize("change", CHANGES)
def test_blocks_are_folded_anew_after_a_change(change: str) -> None:
    detector = detector_of("mobilenet_v1")
    blocks = InferenceBlocks(originals(detector), [0, 13])
    before = blocks(pictures())
    copies = blocks._copies
    CHANGES[change](detector)
    after = blocks(pictures())
    assert blocks._copies is not copies
    expected = chain(originals(detector), pictures())
    for ours, theirs, old in zip(after, (expected[0], expected[13]), before, strict=True):
        assert off(ours, theirs.double()) < 1e-4
        assert off(old, theirs.double()) > 1e-3  # the change is one that can be seen


def test_blocks_are_folded_anew_when_they_move() -> None:
    """`.to` another type, as `.to` another device, gives every parameter other memory."""
    detector = detector_of("mobilenet_v1")
    blocks = InferenceBlocks(originals(detector), [13])
    (before,) = blocks(pictures())
    copies = blocks._copies
    detector.to(torch.float64)
    (after,) = blocks(pictures())
    assert blocks._copies is not copies
    assert after.dtype == torch.float32  # the object's own, whatever the originals have
    assert off(after, before.double()) < 1e-4


def test_assigned_tensors_are_told_apart_by_their_memory() -> None:
    """Both states' tensors were never written in place: their versions are the same."""
    detector = detector_of("mobilenet_v1")
    blocks = InferenceBlocks(originals(detector), [13])
    load_assigned(detector)
    blocks(pictures())
    copies = blocks._copies
    load_assigned(detector)
    (after,) = blocks(pictures())
    assert blocks._copies is not copies
    assert off(after, chain(originals(detector), pictures())[-1].double()) < 1e-4


def test_a_copied_detector_runs_its_own_blocks() -> None:
    detector = detector_of("mobilenet_v1")
    with torch.no_grad():
        scores = detector(pictures())[0]
        other = deepcopy(detector)
        assert torch.allclose(other(pictures())[0], scores, atol=1e-4)
        load(other)
        assert not torch.allclose(other(pictures())[0], scores, atol=1e-2)
        assert torch.equal(detector(pictures())[0], scores)


def test_blocks_are_not_folded_anew_without_a_change() -> None:
    detector = detector_of("mobilenet_v1", frozen=14)
    detector.prefix(pictures())
    prefix = detector.train_prefix._copies
    assert prefix
    for _ in range(2):
        detector.train()  # what Lightning does around a validation
        logits, offsets = detector(pictures())
        (logits.sum() + offsets.sum()).backward()  # the heads' and extras' gradients
        detector.zero_grad()
        detector.eval()
        detector.detect(pictures())
        trunk = detector.eval_tail._copies
        detector.to(CPU)
        detector.state_dict()
        detector.detect(pictures())
        assert detector.eval_tail._copies is trunk
    assert detector.train_prefix._copies is prefix


def test_a_fused_optimizer_that_leaves_no_trace_is_noticed_after_training() -> None:
    """It writes weights without a new `Tensor._version`."""
    detector = detector_of("mobilenet_v1", frozen=4).eval()
    detector.bn_inference = frozenset(range(99))  # moving statistics would give the change away
    with torch.no_grad():
        before = detector(pictures())[0]
    detector.train()
    logits, offsets = detector(pictures())
    (logits.sum() + offsets.sum()).backward()
    trains = [p for p in detector.backbone.parameters() if p.requires_grad]
    torch.optim.SGD(trains, lr=0.1, fused=True).step()
    detector.eval()
    with torch.no_grad():
        assert not torch.allclose(before, detector(pictures())[0])


def test_a_step_of_the_tail_leaves_the_prefix_folded() -> None:
    detector = detector_of("mobilenet_v1", frozen=9).train()
    prefix = detector.prefix(pictures())
    copies = detector.train_prefix._copies
    trains = [p for p in detector.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trains, lr=0.01)
    logits, offsets = detector(pictures())
    (logits.sum() + offsets.sum()).backward()
    optimizer.step()
    assert torch.equal(detector.prefix(pictures())[-1], prefix[-1])
    assert detector.train_prefix._copies is copies
