"""What is remembered of the frozen blocks between validations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import Compose
from tests.models.helpers_engine import detector_of, pictures
from tlx.data.dataset import Batch
from tlx.evaluation.prefix_memory import PrefixMemory, memory_budget
from tlx.models.detector import Targets
from tlx.models.detectors.ssd.ssd import SSD
from tlx.training.run import run

CPU = torch.device("cpu")


def batch(first: int, seed: int = 1) -> Batch:
    images = pictures(seed=seed).mul(40).add(120).clamp(0, 255).to(torch.uint8)
    targets = Targets(torch.zeros(2, 1, 4), torch.zeros(2, 1, dtype=torch.int64))
    return Batch(images, targets, torch.tensor([first, first + 1]))


def computed(detector: SSD, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the number of pictures whenever the frozen blocks are run."""
    counts: list[int] = []
    run_blocks = detector.eval_outputs

    def counting(x: torch.Tensor) -> list[torch.Tensor]:
        counts.append(len(x))
        return run_blocks(x)

    monkeypatch.setattr(detector, "eval_outputs", counting)
    return counts


def same(one: list[Any], other: list[Any]) -> bool:
    return all(
        torch.equal(a.scores, b.scores) and torch.equal(a.boxes, b.boxes)
        for a, b in zip(one, other, strict=True)
    )


def test_a_batch_is_computed_once_and_found_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    detector, memory = detector_of("mobilenet_v1", frozen=9).eval(), PrefixMemory(10**9)
    counts = computed(detector, monkeypatch)
    for first in (0, 2, 0, 2):
        shown = batch(first, seed=first)
        found = detector.detect_from(memory.outputs(detector, shown))
        assert same(found, detector.detect(shown.images))
    by_memory = len(counts) - 4  # `detect` asks for them itself
    assert by_memory == 2


def test_other_weights_and_another_depth_are_computed_anew() -> None:
    detector, memory = detector_of("mobilenet_v1", frozen=9).eval(), PrefixMemory(10**9)
    before = memory.outputs(detector, batch(0))[-1].clone()
    detector.load_state_dict(detector_of("mobilenet_v1", seed=3).state_dict())
    after = memory.outputs(detector, batch(0))
    assert not torch.allclose(before, after[-1])
    assert same(detector.detect_from(after), detector.detect(batch(0).images))
    detector.freeze(5, 5)
    shallower = memory.outputs(detector, batch(0))
    assert same(detector.detect_from(shallower), detector.detect(batch(0).images))


def test_what_does_not_fit_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = detector_of("mobilenet_v1", frozen=9).eval()
    one = sum(y.nbytes for y in PrefixMemory(0).outputs(detector, batch(0)))
    memory = PrefixMemory(one)
    counts = computed(detector, monkeypatch)
    for first in (0, 2, 0, 2):
        memory.outputs(detector, batch(first))
    assert counts == [2, 2, 2]  # the first batch fits, the second does not


def test_budget(tiny_config: Compose) -> None:
    assert memory_budget(tiny_config("cache=off").cache, CPU) == 0
    assert memory_budget(tiny_config("cache.max_gb=0.001").cache, CPU) == 10**6


@pytest.mark.parametrize("policy", ["fixed", "two_phase"])
def test_a_run_has_the_same_figures_with_and_without(
    policy: str, tiny_config: Compose, tmp_path: Path
) -> None:
    settings = ["freeze=8", f"policy={policy}", "trainer.epochs=4", "trainer.head_lr=0.002"]
    records = [
        run(tiny_config(*settings, f"cache={mode}"), tmp_path / mode) for mode in ("auto", "off")
    ]
    for key in ("map", "map_50"):
        one, other = ([value for *_, value in record[key]] for record in records)
        assert one == other
    assert records[0]["test"] == records[1]["test"]
