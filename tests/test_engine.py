"""The fast ways of running a detector compute what the plain one computes.

Random weights with random batch-norm statistics, not those of a fresh network, whose batch norms
do nothing and would fold even if folding were wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

import tlx.backbones  # noqa: F401
from tlx.backbones.base import BACKBONES, backbone_spec
from tlx.backbones.weights import SCRATCH, resolve
from tlx.detector.boxes import decode
from tlx.detector.ssd import SSD
from tlx.engine import precision
from tlx.engine.depthwise import Float32Conv2d, keep_strided_depthwise_in_float32
from tlx.engine.fold import folded
from tlx.engine.inference import InferenceBlocks
from tlx.freeze.apply import apply_phase
from tlx.freeze.depth import frozen_blocks
from tlx.policies.base import Phase

NAMES = sorted(BACKBONES)
CPU = torch.device("cpu")


def detector_of(name: str, frozen: int = 0, seed: int = 0) -> SSD:
    """A 96 px detector whose activations neither die nor explode, in eval mode."""
    spec = backbone_spec(name)
    torch.manual_seed(seed)
    detector = SSD(spec, resolve(spec, SCRATCH).conventions, 2, 96)
    norms = [m for m in detector.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.3)
        norm.momentum = 1.0
    detector.train()
    with torch.no_grad():
        detector(torch.randn(4, 3, 96, 96))  # statistics of these very activations, then disturbed
        for norm in norms:
            norm.momentum = 0.1
            norm.running_mean += 0.3 * norm.running_var.sqrt() * torch.randn(norm.num_features)
            norm.running_var *= torch.empty(norm.num_features).uniform_(0.6, 1.6)
        for head in (*detector.heads.classify, *detector.heads.regress):
            head.weight *= 3  # scores that differ between priors
    apply_phase(detector, Phase(0, frozen, frozen))
    return detector.eval()


@torch.no_grad()
def chain(blocks: list[nn.Module], x: Tensor) -> list[Tensor]:
    """The output of every block."""
    outputs = []
    for block in blocks:
        x = block(x)
        outputs.append(x.clone())
    return outputs


def off(values: Tensor, exact: Tensor) -> float:
    """Relative L2 error."""
    return float((values.double() - exact).norm() / exact.norm())


def pictures(count: int = 2, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, 96, 96, generator=generator)


def originals(detector: SSD) -> list[nn.Module]:
    return list(detector.backbone.blocks.values())


# --- Folding ---


@pytest.mark.parametrize("name", NAMES)
def test_each_folded_block_is_exact(name: str) -> None:
    """Every block alone, on the exact output of the one before, in double precision."""
    blocks = originals(detector_of(name))
    x = pictures().double()
    for block in blocks:
        exact = deepcopy(block).double()
        (expected,) = chain([exact], x)
        assert off(chain([folded(exact)], x)[0], expected) < 1e-12  # measured: 1.5e-15
        x = expected


@pytest.mark.parametrize("name", NAMES)
def test_a_folded_prefix_is_as_exact_as_float32_at_every_depth(name: str) -> None:
    blocks = originals(detector_of(name))
    exact = chain([deepcopy(block).double() for block in blocks], pictures().double())
    plain = chain(blocks, pictures())
    fast = InferenceBlocks(blocks, range(len(blocks)))(pictures())
    assert len(fast) == len(exact) == len(blocks)
    errors = [off(a, b) for a, b in zip(fast, exact, strict=True)]
    # Measured over four seeds and all backbones: 1e-7 at the stem, 2.4e-6 within the first nine
    # blocks, 1.2e-5 at the last (MobileNetV1's; 9e-6 of the others).
    assert max(errors[:9]) < 1e-5
    assert max(errors) < 3e-5
    for error, ours, theirs in zip(errors, plain, exact, strict=True):
        assert error < 3 * off(ours, theirs)  # measured: up to 1.21 times


@pytest.mark.parametrize("name", NAMES)
def test_a_bfloat16_prefix_stays_near(name: str) -> None:
    """Eight bits of mantissa, a rounding in every layer; random weights amplify it most.

    Measured over four seeds: .003 at the stem, .018 within five blocks, .21 at the last block of
    MobileNetV1 and .10 to .17 at that of the others.
    """
    blocks = originals(detector_of(name))
    exact = chain([deepcopy(block).double() for block in blocks], pictures().double())
    fast = InferenceBlocks(blocks, range(len(blocks)), torch.bfloat16)(pictures())
    assert {y.dtype for y in fast} == {torch.bfloat16}
    errors = [off(a, b) for a, b in zip(fast, exact, strict=True)]
    assert errors[0] < 0.01
    assert max(errors[:5]) < 0.04
    assert 0.05 < max(errors) < 0.35  # below: not computed in bfloat16


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_prefix_is_computed_in_its_own_precision_under_autocast(dtype: torch.dtype) -> None:
    blocks = InferenceBlocks(originals(detector_of("mobilenet_v1")), [13], dtype)
    (alone,) = blocks(pictures())
    with torch.autocast("cpu", torch.float16):
        (within,) = blocks(pictures())
    assert within.dtype == dtype
    assert torch.equal(within, alone)


@pytest.mark.parametrize("name", NAMES)
def test_folding_folds_a_copy_and_leaves_the_original(name: str) -> None:
    detector = detector_of(name).train()
    before = {key: value.clone() for key, value in detector.state_dict().items()}
    modes = [module.training for module in detector.modules()]
    seen: list[nn.Module] = []
    block = originals(detector)[1]
    layers = [m for m in block.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    for layer in layers:
        layer.register_forward_hook(lambda module, _i, _o: seen.append(module))
    for one in originals(detector):
        copy = folded(one)
        norms = sum(isinstance(m, nn.BatchNorm2d) for m in one.modules())
        assert norms > 0
        assert not any(isinstance(m, nn.BatchNorm2d) for m in copy.modules())
        assert not any(p.requires_grad for p in copy.parameters())
        assert not any(m.training for m in copy.modules() if not isinstance(m, nn.Identity))
        shared = {p.data_ptr() for p in one.parameters()} & {
            p.data_ptr() for p in copy.parameters()
        }
        assert not shared
    after = detector.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert modes == [module.training for module in detector.modules()]
    assert all(p.requires_grad for p in detector.parameters())
    seen.clear()
    detector(pictures())
    assert {id(m) for m in seen} == {id(m) for m in layers}


def test_what_cannot_be_folded_stays() -> None:
    """A batch norm with no convolution right before it, or with one of other channels."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, bias=True), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 4, 1), nn.ReLU(), nn.BatchNorm2d(4),
    )  # fmt: skip
    for norm in (net[0], net[2], net[6]):
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    net.eval()
    copy = folded(net)
    assert [isinstance(m, nn.BatchNorm2d) for m in copy] == [i in (0, 6) for i in range(7)]
    assert torch.allclose(copy(pictures()), net(pictures()), atol=1e-5)


# --- When blocks are folded anew ---


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
        trunk = detector.inference_trunk._copies
        detector.to(CPU)
        detector.state_dict()
        detector.detect(pictures())
        assert detector.inference_trunk._copies is trunk
    assert detector.train_prefix._copies is prefix


def test_a_fused_optimizer_that_leaves_no_trace_is_noticed_after_training() -> None:
    """It writes weights without a new `Tensor._version`."""
    detector = detector_of("mobilenet_v1", frozen=4).eval()
    detector.bn_inference = 99  # moving statistics would give the change away
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


# --- The detector ---


def test_folded_copies_are_no_part_of_the_detector() -> None:
    detector = detector_of("mobilenet_v1", frozen=5)
    keys = list(detector.state_dict())
    counts = [len(list(group())) for group in (detector.parameters, detector.modules)]
    with torch.no_grad():
        detector(pictures())
    detector.prefix(pictures())
    assert list(detector.state_dict()) == keys
    assert [len(list(g())) for g in (detector.parameters, detector.modules)] == counts
    own = {id(p) for p in detector.parameters()} | {id(b) for b in detector.buffers()}
    for blocks in (detector.train_prefix, detector.inference_trunk):
        assert blocks._copies
        assert not own & {id(p) for copy in blocks._copies for p in copy.parameters()}


@pytest.mark.parametrize("frozen", [0, 5])
@pytest.mark.parametrize("name", NAMES)
def test_folded_and_plain_detector_agree(name: str, frozen: int) -> None:
    detector = detector_of(name)
    with torch.enable_grad():
        logits, offsets = detector(pictures())
    assert not detector.inference_trunk._copies  # neither of the two paths was folded
    scores, boxes = logits.detach().softmax(-1), decode(offsets.detach(), detector.priors)
    assert float(scores.std(1).mean()) > 0.02  # scores that say something
    apply_phase(detector, Phase(0, frozen, frozen))
    with torch.inference_mode():
        fast_scores, fast_boxes = detector.raw(pictures())
    assert detector.inference_trunk._copies
    assert not torch.equal(fast_scores, scores)
    assert torch.allclose(fast_scores, scores, atol=1e-4)
    assert torch.allclose(fast_boxes, boxes, atol=1e-4)
    with torch.enable_grad():  # with the prefix folded and the tail plain
        logits, _ = detector(pictures())
    assert torch.allclose(logits.softmax(-1), scores, atol=1e-4)


def test_figures_do_not_depend_on_autocast_or_the_prefix_precision() -> None:
    detector = detector_of("mobilenet_v1")
    scores, boxes = detector.raw(pictures())
    apply_phase(detector, Phase(0, 9, 9), torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        again, placed = detector.raw(pictures())
    assert torch.equal(again, scores)
    assert torch.equal(placed, boxes)


@pytest.mark.parametrize("value", ["none", "4", "8", "all", "heads"])
@pytest.mark.parametrize("name", NAMES)
def test_prefix_and_tail_are_the_forward_pass(name: str, value: str) -> None:
    spec = backbone_spec(name)
    detector = detector_of(name, frozen_blocks(value, spec)).train()
    outputs = detector.prefix(pictures())
    assert len(outputs) == max(1, len(detector.boundary))
    parts = detector.heads(detector.tail(outputs))
    for ours, whole in zip(parts, detector(pictures()), strict=True):
        assert torch.equal(ours, whole)


@pytest.mark.parametrize(
    ("value", "boundary"),
    [
        ("none", []),
        ("4", [4]),
        ("8", [8]),
        ("11", [11]),
        ("12", [11, 12]),
        ("all", [11, 13]),
        ("heads", [11, 13, 14, 15, 16, 17]),
    ],
)
def test_boundary_is_what_the_tail_needs(value: str, boundary: list[int]) -> None:
    spec = backbone_spec("mobilenet_v1")
    detector = detector_of("mobilenet_v1", frozen_blocks(value, spec))
    assert detector.boundary == boundary
    if boundary:
        shapes = [tuple(y.shape[1:2]) for y in detector.prefix(pictures())]
        channels = [*detector.backbone.channels, 512, 256, 256, 256]
        assert shapes == [(channels[i],) for i in boundary]


# --- Precision ---


@pytest.mark.parametrize("name", NAMES)
def test_only_strided_depthwise_convolutions_are_kept_in_float32(name: str) -> None:
    detector = detector_of(name)
    keys = list(detector.state_dict())
    parameters = [id(p) for p in detector.parameters()]
    kinds = {key: type(module) for key, module in detector.named_modules()}
    outputs = detector.raw(pictures())
    keep_strided_depthwise_in_float32(detector)
    changed = set()
    for key, module in detector.named_modules():
        strided = isinstance(module, nn.Conv2d) and module.stride != (1, 1)
        if strided and module.groups == module.in_channels > 1:
            changed.add(key)
            assert type(module) is Float32Conv2d
        else:
            assert type(module) is kinds[key]
    assert len(changed) == 4  # strides 4 to 32; the stem, of stride 2, is no depthwise one
    assert list(detector.state_dict()) == keys
    assert [id(p) for p in detector.parameters()] == parameters
    assert all(torch.equal(a, b) for a, b in zip(detector.raw(pictures()), outputs, strict=True))


def depthwise(stride: int) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(8, 8, 3, stride, 1, groups=8, bias=False)


def test_float32_convolution_under_autocast() -> None:
    strided, plain = depthwise(2), depthwise(1)
    expected_of = deepcopy(strided)
    calls: list[nn.Module] = []
    strided.register_forward_hook(lambda module, _i, _o: calls.append(module))
    net = nn.Sequential(strided, plain)
    keep_strided_depthwise_in_float32(net)
    x = torch.randn(2, 8, 12, 12).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        out = strided(x)
        assert torch.is_autocast_enabled("cpu")
        assert plain(x).dtype == torch.bfloat16
        assert expected_of(x).dtype == torch.bfloat16
    assert calls == [strided]
    assert out.dtype == torch.float32
    assert torch.equal(out, expected_of(x.float()))
    out.sum().backward()
    assert strided.weight.grad is not None
    assert strided.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_float32_convolution_outside_autocast(dtype: torch.dtype) -> None:
    """In its own type: a copy in bfloat16 is what a half-precision prefix runs."""
    layer = depthwise(2)
    keep_strided_depthwise_in_float32(layer)
    assert type(layer) is Float32Conv2d
    reference = depthwise(2).to(dtype)
    x = torch.randn(2, 8, 12, 12, dtype=dtype)
    out = layer.to(dtype)(x)
    assert out.dtype == dtype
    assert torch.equal(out, reference(x))


def resolved(asked: str) -> precision.Precision:
    return precision.resolve(
        asked, detector_of("mobilenet_v1", 5), Phase(0, 5, 5), batch_size=2, device=CPU
    )


@pytest.mark.parametrize(
    ("asked", "prefix"),
    [
        ("32-true", torch.float32),
        ("16-mixed", torch.float16),
        ("bf16-mixed", torch.bfloat16),
    ],
)
def test_a_named_precision_is_taken(
    asked: str, prefix: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> float:
        raise AssertionError("nothing is to be measured")

    monkeypatch.setattr(precision, "has_bfloat16", never)
    monkeypatch.setattr(precision, "step_seconds", never)
    assert resolved(asked) == precision.Precision(asked, prefix, "as configured")


def test_auto_without_bfloat16_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda _: False)
    monkeypatch.setattr(precision, "step_seconds", lambda *_: pytest.fail("measured"))
    chosen = resolved("auto")
    assert (chosen.name, chosen.prefix) == ("32-true", torch.float32)
    assert "no bfloat16" in chosen.reason


@pytest.mark.parametrize(
    ("full", "half", "name"),
    [
        (1.09, 1.0, "32-true"),
        (1.11, 1.0, "bf16-mixed"),
        (1.0, 3.0, "32-true"),
        (3.0, 1.0, "bf16-mixed"),
    ],
)
def test_auto_takes_bfloat16_for_a_tenth(
    full: float, half: float, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {torch.float32: full, torch.bfloat16: half}
    monkeypatch.setattr(precision, "has_bfloat16", lambda _: True)
    monkeypatch.setattr(precision, "step_seconds", lambda *args: seconds[args[-1]])
    chosen = resolved("auto")
    assert chosen.name == name
    prefix = torch.bfloat16 if name == "bf16-mixed" else torch.float32
    assert chosen.prefix == prefix
    assert f"{half:.3g} s a step in bfloat16, {full:.3g} s in float32" in chosen.reason


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_measuring_a_step_leaves_the_detector_as_it_is(dtype: torch.dtype) -> None:
    detector = detector_of("mobilenet_v1", 2)
    before = {key: value.clone() for key, value in detector.state_dict().items()}
    assert precision.step_seconds(detector, Phase(0, 9, 9), 2, CPU, dtype) > 0
    assert all(torch.equal(v, before[k]) for k, v in detector.state_dict().items())
    assert all(p.grad is None for p in detector.parameters())
    assert (detector.frozen, detector.training) == (2, False)
    assert not any(isinstance(m, Float32Conv2d) for m in detector.modules())
