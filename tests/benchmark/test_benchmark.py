"""The benchmark on a tiny set: what it writes and how its figures hang together, never a time."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models.detection import ssdlite, ssdlite320_mobilenet_v3_large

from tests.helpers_process import run_program
from tlx.benchmark import __main__ as program
from tlx.benchmark.arms import ARMS, CACHED, Maker, Slot, plan
from tlx.benchmark.batches import load_batches, read_batches, read_data, save_batches
from tlx.benchmark.child import in_child
from tlx.benchmark.config import TrainBenchmark, checked_policies
from tlx.benchmark.in_run import SAME_LOADER, TIMED_STEPS, WARMUP, runs_of, step_times, with_ratios
from tlx.benchmark.memory import added_memory
from tlx.benchmark.networks import freeze_stages, trainable_layers
from tlx.benchmark.step import Stepper
from tlx.benchmark.usual_loader import usual_loader
from tlx.common.errors import ConfigError, TlxError
from tlx.data.dataset import Batch
from tlx.freeze.bound import measure_cost
from tlx.models.backbones.base import backbone_spec
from tlx.models.blocks import as_blocks
from tlx.models.detectors.ssd.ssd import SSD
from tlx.training.precision import has_bfloat16

CPU = torch.device("cpu")
HALF = ("tlx_auto", "tlx_cached_auto")


@pytest.fixture(scope="module")
def config(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainBenchmark:
    folder = tmp_path_factory.mktemp("benchmark")
    return TrainBenchmark(
        policies="none,8", input_size=96, batch_size=2, rounds=2, warmup=1, batches=2,
        root=str(tiny_set), format="voc", memory=False, runs=False, loader_pictures=2, threads=1,
        device="cpu", cache_dir=str(folder / "cache"), output=str(folder / "out"),
    )  # fmt: skip


def arguments(config: TrainBenchmark) -> list[str]:
    return ["train", *(f"{k}={v}" for k, v in vars(config).items() if v is not None)]


@pytest.fixture(scope="module")
def result(config: TrainBenchmark) -> dict[str, Any]:
    program.main(arguments(config))
    return json.loads((Path(config.output) / "benchmark.json").read_text())


@pytest.fixture(scope="module")
def batches(config: TrainBenchmark) -> list[Batch]:
    return read_batches(config, read_data(config))


@pytest.fixture(scope="module")
def maker(config: TrainBenchmark, batches: list[Batch]) -> Maker:
    return Maker(config, 2, batches, CPU)


def test_every_arm_is_measured_or_left_out_with_a_reason(result: dict[str, Any]) -> None:
    measured = {(row["policy"], row["arm"]) for row in result["rows"]}
    left_out = {(cell["policy"], cell["arm"]) for cell in result["left_out"]}
    assert not measured & left_out
    assert measured | left_out == {(p, a) for p in ("none", "8") for a in ARMS}
    frozen_only = {("none", a) for a in ("lightning", *CACHED)}
    half = {(p, a) for p in ("none", "8") for a in HALF}
    assert left_out == frozen_only | (set() if has_bfloat16(CPU) else half)
    assert all(cell["reason"] for cell in result["left_out"])


def test_figures_follow_from_the_medians(result: dict[str, Any], maker: Maker) -> None:
    rows = {(row["policy"], row["arm"]): row for row in result["rows"]}
    reference = rows["none", "plain"]["step_s_median"]
    cost = measure_cost(maker.detector)
    frozen = sum(cost.macs[:9]) / sum(cost.macs)  # freeze=8: blocks 0..8
    for (policy, arm), row in rows.items():
        assert set(row) == {
            "policy", "arm", "step_s_median", "step_s_interval", "parts", "images_per_s",
            "ratio_to_plain_none", "bound_step_share", "ratio_to_bound", "peak_rss_bytes",
        }  # fmt: skip
        low, high = row["step_s_interval"]
        assert 0 < low <= row["step_s_median"] <= high
        assert list(row["parts"]) == ["data_s", "forward_s", "backward_s", "optimizer_s"]
        # Of two rounds a median is the mean, so that the parts do add up.
        assert sum(row["parts"].values()) == pytest.approx(row["step_s_median"])
        assert row["images_per_s"] == pytest.approx(2 / row["step_s_median"])
        assert row["ratio_to_plain_none"] == pytest.approx(row["step_s_median"] / reference)
        assert row["peak_rss_bytes"] is None
        if arm == "torchvision":
            assert row["bound_step_share"] is row["ratio_to_bound"] is None
            continue
        share = 1.0 if policy == "none" else 1 - frozen if arm in CACHED else 1 - 2 * frozen / 3
        assert row["bound_step_share"] == pytest.approx(share)
        speed_up = reference / row["step_s_median"]
        assert row["ratio_to_bound"] == pytest.approx(speed_up / (1 / share))


def test_conditions_and_loader_are_written(result: dict[str, Any], config: TrainBenchmark) -> None:
    conditions = result["conditions"]
    assert conditions["environment"]["torch"] == torch.__version__
    assert conditions["config"]["batch_size"] == 2
    assert conditions["host"]["threads"] == 1
    plain = result["rows"][0]
    low, high = plain["step_s_interval"]
    assert conditions["noise"] == pytest.approx((high - low) / plain["step_s_median"])
    definitions = conditions["definitions"]
    assert {*ARMS, *plain} - {"policy", "arm", "images_per_s"} <= set(definitions)
    assert [(row["source"], row["loader"]) for row in result["loader"]] == [
        (source, loader)
        for source in ("300x225", "640x480", "1024x768")
        for loader in ("tlx warm", "tlx cold", "torchvision")
    ]
    assert all(row["images_per_s"] > 0 for row in result["loader"])
    text = (Path(config.output) / "benchmark.md").read_text()
    assert all(f"| {arm} |" in text for arm in ARMS)
    assert "another, lighter network" in text
    with Image.open(Path(config.output) / "step_time.png") as plot:
        assert plot.width == 1200
        assert np.asarray(plot.convert("RGB")).std() > 10
    assert sorted(p.name for p in Path(config.output).iterdir()) == [
        "benchmark.json", "benchmark.md", "step_time.png",
    ]  # fmt: skip


@pytest.mark.parametrize("arm", ["plain", "lightning", "tlx_fp32", "tlx_cached_fp32"])
def test_arms_train_the_same_parameters(maker: Maker, batches: list[Batch], arm: str) -> None:
    stepper = Stepper(maker.make(Slot("8", as_blocks(9), arm)), batches, CPU)
    detector = stepper.arm.network
    assert isinstance(detector, SSD)
    before = {k: v.clone() for k, v in detector.named_parameters()}
    assert min(stepper.step(0)) > 0
    changed = {k for k, v in detector.named_parameters() if not torch.equal(v, before[k])}
    blocks = list(detector.backbone.blocks)
    frozen = tuple(f"backbone.blocks.{name}." for name in blocks[:9])
    assert not [k for k in changed if k.startswith(frozen)]
    assert [k for k in changed if k.startswith(f"backbone.blocks.{blocks[9]}.")]


def test_cached_and_uncached_arm_have_the_same_loss(maker: Maker, batches: list[Batch]) -> None:
    """Up to the rounding of the store, 2**-11; other slots would be other pictures' losses."""
    losses = []
    for arm in ("tlx_fp32", "tlx_cached_fp32"):
        made = maker.make(Slot("8", as_blocks(9), arm))
        losses.append([made.loss(made.load(made.prepare(b))).item() for b in batches])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert losses[0][0] != pytest.approx(losses[0][1], rel=1e-3)


def test_the_plain_arm_computes_the_same_network(maker: Maker, batches: list[Batch]) -> None:
    losses = []
    for arm in ("plain", "tlx_fp32"):
        made = maker.make(Slot("none", as_blocks(0), arm))
        losses.append(made.loss(made.load(made.prepare(batches[0]))).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize("trainable", [6, 4, 2, 0])
def test_torchvisions_own_rule_freezes_the_same(
    monkeypatch: pytest.MonkeyPatch, trainable: int
) -> None:
    options: dict[str, Any] = {"weights": None, "weights_backbone": None, "num_classes": 3}
    by_hand = ssdlite320_mobilenet_v3_large(**options)
    freeze_stages(by_hand, trainable)
    # With random weights torchvision trains all layers, whatever it is asked.
    monkeypatch.setattr(ssdlite, "_validate_trainable_layers", lambda *_: trainable)
    theirs = ssdlite320_mobilenet_v3_large(**options)
    assert [(k, p.requires_grad) for k, p in by_hand.named_parameters()] == [
        (k, p.requires_grad) for k, p in theirs.named_parameters()
    ]


def test_depths_map_to_torchvisions_stages() -> None:
    spec = backbone_spec("mobilenet_v1")
    policies = checked_policies(TrainBenchmark())
    shares = [len(frozen) / len(spec.blocks) for frozen in policies.values()]
    assert [trainable_layers(share) for share in shares] == [6, 4, 2, 0]
    _, left_out = plan({"heads": as_blocks(18)}, len(spec.blocks), CPU)
    assert "torchvision" in [cell["arm"] for cell in left_out]


def test_memory_is_measured_in_a_process_of_its_own(
    config: TrainBenchmark, batches: list[Batch], tmp_path: Path
) -> None:
    save_batches(batches, tmp_path / "batches.pt")
    restored = load_batches(tmp_path / "batches.pt")
    assert torch.equal(restored[1].images, batches[1].images)
    assert torch.equal(restored[1].indices, batches[1].indices)
    slot = Slot("8", as_blocks(9), "tlx_cached_fp32")
    added = in_child(added_memory, config, slot, 2, tmp_path / "batches.pt")
    # At least the momentum and the gradients of the 5.8 million parameters that train.
    assert added > 2 * 4 * 5.7e6


def test_a_child_that_dies_is_told_by_none() -> None:
    assert in_child(os._exit, 3) is None


@pytest.mark.parametrize("arm", ["plain", "plain_tlx_loader", "tlx_fp32", "tlx_cached_fp32"])
def test_steps_are_timed_inside_a_real_run(
    config: TrainBenchmark, batches: list[Batch], tmp_path: Path, arm: str
) -> None:
    save_batches(batches, tmp_path / "batches.pt")
    slot = (
        Slot("none", as_blocks(0), arm) if arm.startswith("plain") else Slot("8", as_blocks(9), arm)
    )
    row = step_times(config, slot, tmp_path / "batches.pt")
    # 18 pictures in batches of two: 9 steps an epoch, so 4 epochs, less the steps that warm up.
    assert row["steps"] == 4 * 9 - WARMUP >= TIMED_STEPS
    low, high = row["step_s_interval"]
    assert 0 < low <= row["step_s_median"] <= high
    assert row["loop_share"] == pytest.approx(row["step_s_median"] / row["bare_step_s_median"] - 1)


def test_real_runs_are_of_tlx_and_what_it_is_compared_with() -> None:
    slots, _ = plan({"none": as_blocks(0), "8": as_blocks(9)}, 14, CPU)
    chosen = [(slot.policy, slot.arm) for slot in runs_of(slots)]
    assert chosen[:2] == [("none", "plain"), (SAME_LOADER.policy, SAME_LOADER.arm)]
    assert ("8", "tlx_cached_fp32") in chosen
    assert not {arm for _, arm in chosen} & {"lightning", "torchvision"}
    rows = [{"policy": p, "arm": a, "step_s_median": 2.0 + i} for i, (p, a) in enumerate(chosen)]
    found = with_ratios(rows)
    assert [row["ratio_to_plain_none"] for row in found] == [1 + i / 2 for i in range(len(chosen))]
    assert [row["ratio_same_loader"] for row in found] == pytest.approx(
        [(2 + i) / 3 for i in range(len(chosen))]
    )


def test_the_usual_loader_gives_what_tlx_trains_on(config: TrainBenchmark) -> None:
    data = read_data(config)
    loader = usual_loader(data.splits["train"], config.input_size, config.batch_size, workers=0)
    found = list(loader)
    assert len(found) == 9
    assert sorted(int(i) for batch in found for i in batch.indices) == list(range(18))
    side = config.input_size
    for batch in found:
        assert (batch.images.dtype, batch.images.shape[1:]) == (torch.uint8, (3, side, side))
        assert ((batch.targets.boxes >= -1e-6) & (batch.targets.boxes <= 1 + 1e-6)).all()
    assert sum(int((batch.targets.labels > 0).sum()) for batch in found) > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"policies": "4,8"}, "lacks none"),
        ({"policies": "none,4,4"}, "twice"),
        ({"policies": "none,99"}, "past the last block"),
        ({"backbone": "resnet"}, "backbone.name=resnet is none of"),
        ({"batch_size": 1}, "batch_size=1 must be 2 or more"),
        ({"batch_size": 19}, "holds 18 pictures"),
        ({"input_size": 64}, "input_size=64"),
        ({"rounds": 0}, "rounds=0"),
        ({"format": "xml"}, "format=xml"),
        ({"root": None, "format": "voc"}, "needs root"),
        ({"device": "nonsense"}, "device=nonsense"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    config: TrainBenchmark, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(TlxError, match=message) as raised:
        program.main(arguments(TrainBenchmark(**{**vars(config), **changes})))
    assert "\n" not in str(raised.value)


def test_commands_are_listed_and_unknown_ones_refused(capsys: pytest.CaptureFixture[str]) -> None:
    program.main(["train", "--help"])
    text = capsys.readouterr().out
    for key in vars(TrainBenchmark()):
        assert key in text
    with pytest.raises(ConfigError, match="policy is not a key"):
        program.main(["train", "policy=none"])


def test_the_program_says_what_it_can_do_and_errs_in_one_line() -> None:
    assert "  train    seconds" in run_program("tlx.benchmark").stdout
    done = run_program("tlx.benchmark", "trian", timeout=100)
    assert done.returncode == 2
    assert done.stderr == "ConfigError: 'trian' is not a command: did you mean train?\n"
