"""What is known without timm and torchvision, which take long to import, is what they say."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torchvision.models import get_model_weights, list_models

import tlx.models.backbones  # noqa: F401  registers them
from tlx.models.backbones.base import BACKBONES, BackboneSpec
from tlx.models.backbones.sources import HUB

PUBLISHED = {weights.url for name in list_models() for weights in get_model_weights(name)}


@pytest.mark.parametrize("spec", [s for s in BACKBONES.values() if s.outline], ids=lambda s: s.name)
def test_an_outline_is_that_of_the_network(spec: BackboneSpec) -> None:
    assert spec.outline is not None
    outline, built = spec.outline(), spec.build(spec.conventions)
    for key in ("strides", "channels", "taps", "linear_taps"):
        assert getattr(outline, key) == getattr(built, key)
    assert list(outline.blocks) == list(built.blocks)
    # What `build` states may be what `outline` states: the layers themselves say it.
    x, side, shapes = torch.zeros(1, 3, 256, 256), 256, []
    for block in built.eval().blocks.values():
        x = block(x)
        shapes.append((side // x.shape[2], x.shape[1]))
    assert shapes == list(zip(outline.strides, outline.channels, strict=True))
    assert not list(outline.parameters())


def test_files_of_the_hub_are_those_that_torchvision_names() -> None:
    advice = [source.advice for spec in BACKBONES.values() for source in spec.sources]
    names = {word for text in advice for word in text.split() if word.endswith(".pth")}
    assert len(names) >= 9
    assert {f"{HUB}/{name}" for name in names} <= PUBLISHED


def test_data_are_checked_without_timm_and_torchvision(tmp_path: Path) -> None:
    """They take as long to import as the sample to check, and 200 MiB."""
    code = (
        "import sys; from tlx.data.commands.check import main;"
        f"main(['data=sample', 'output={tmp_path}']);"
        "print([m for m in ('timm', 'torchvision', 'torch._dynamo', 'wandb') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"
