"""`python -m tlx.models`: its figures against published ones, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torchvision

import tlx.models.__main__ as program
from tlx.common.errors import ConfigError
from tlx.models.backbones.base import BACKBONES, Source, backbone_spec
from tlx.models.catalog import block_costs, weights_of
from tlx.models.detector import DETECTORS


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    program.main(list(arguments))
    return capsys.readouterr().out


def rows(text: str) -> dict[str, list[str]]:
    """The rows of printed tables by their first cell."""
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines()]
    return {row[0]: row[1:] for row in cells if row}


@pytest.mark.parametrize(
    ("name", "classifier"),
    # Products of the classifiers, which a backbone has not: of pooled channels by outputs.
    [
        ("resnet18", 512 * 1000),
        ("resnet50", 2048 * 1000),
        ("mobilenet_v2", 320 * 1280 * 49 + 1280 * 1000),
        ("mobilenet_v3_large", 960 * 1280 + 1280 * 1000),
        ("mobilenet_v3_small", 576 * 1024 + 1024 * 1000),
    ],
)
def test_macs_are_those_that_torchvision_states(name: str, classifier: int) -> None:
    """At 224 px; stated in thousandths of 10⁹."""
    stated = torchvision.models.get_model_weights(name).DEFAULT.meta["_ops"]
    blocks = block_costs(backbone_spec(name), 224)
    macs = sum(block.macs for block in blocks)
    assert (macs + classifier) / 1e9 == pytest.approx(stated, abs=6e-4)
    assert blocks[-1].share == 1
    assert [b.share for b in blocks] == sorted(b.share for b in blocks)
    assert blocks[3].share == pytest.approx(sum(b.macs for b in blocks[:4]) / macs)


def test_parameters_are_those_of_the_built_network() -> None:
    # torchvision states 11,689,512; the classifier has 513,000 of them.
    assert sum(b.parameters for b in block_costs(backbone_spec("resnet18"), 64)) == 11_176_512


def test_the_table_has_every_backbone_and_detector(capsys: pytest.CaptureFixture[str]) -> None:
    everything = json.loads(told(capsys, "json=true", "size=64"))
    assert [row["name"] for row in everything["backbones"]] == sorted(BACKBONES)
    assert [row["name"] for row in everything["detectors"]] == sorted(DETECTORS)
    assert all(row["about"].endswith(".") for row in everything["detectors"])
    for row in everything["backbones"]:
        assert row["blocks"] == len(BACKBONES[row["name"]].blocks)
        assert row["weights"]["advice"]
    program.print_overview(program.stdout_console(), everything)
    table = rows(capsys.readouterr().out)
    assert set(table) == {*BACKBONES, *DETECTORS}
    # 14,714,688 parameters of the convolutions, 5,768,192 of fc6 and fc7.
    assert table["vgg16"][:4] == ["15", "1 2 4 8 16", "8 16", "20.48 M"]


def test_one_backbone_block_by_block(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "mobilenet_v1", "size=224")
    table = rows(text)
    assert list(table) == [str(number) for number in range(14)]
    # Howard et al. 2017, table 1: a pointwise convolution of 512 to 512 channels on 14x14.
    macs = (9 * 512 + 512 * 512) * 14 * 14
    assert table["7"][:3] == ["Conv2d_7", "16", "512"]
    assert table["7"][4] == f"{macs / 1e6:.1f}"
    assert [number for number, row in table.items() if row[-1] == "yes"] == ["11", "13"]
    detail = json.loads(told(capsys, "timm-mobilenetv3_small_050", "json=true"))
    assert detail["size"] == 300
    assert [row["index"] for row in detail["blocks"]] == list(range(13))
    assert detail["macs"] == sum(row["macs"] for row in detail["blocks"])


def test_weights_that_are_here_are_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    spec = backbone_spec("mobilenet_v1")
    sources = (Source("fetch a", lambda: None), Source("fetch b", lambda: tmp_path / "b.pth"))
    found = weights_of(spec.__class__(**{**vars(spec), "sources": sources}))
    assert found == {"file": str(tmp_path / "b.pth"), "advice": ["fetch a", "fetch b"]}
    detail = program.detail(spec, 64)
    for weights, said in (
        (found, f"weights: {tmp_path / 'b.pth'}"),
        ({**found, "file": None}, "weights: none here. Either\n  - fetch a\n  - fetch b"),
    ):
        program.print_detail(program.stdout_console(), {**detail, "weights": weights})
        assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("vgg16", ["vgg16-397923af.pth", "vgg16_features-amdegroot-88682ab5.pth"]),
        ("mobilenet_v3_large", ["mobilenet_v3_large-8738ca79.pth", "mobilenet_v3_large-5c1a4163"]),
        ("mobilenet_v3_large_reduced", ["ssdlite320_mobilenet_v3_large_coco-a79551df.pth"]),
        ("mobilenet_v3_small", ["mobilenet_v3_small-047dcff4.pth"]),
        ("mobilenet_v4_conv_small", ["timm/mobilenetv4_conv_small.e2400_r224_in1k"]),
        ("resnet18", ["resnet18-f37072fd.pth"]),
        ("resnet50", ["resnet50-0676ba61.pth", "resnet50-11ad3fa6.pth"]),
    ],
)
def test_where_weights_come_from(name: str, places: list[str]) -> None:
    """The files of torchvision and timm, in the order in which `weights=auto` looks."""
    advice = weights_of(backbone_spec(name))["advice"]
    assert len(advice) == len(places)
    assert all(place in line for place, line in zip(places, advice, strict=True))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mobilenet_v9"], "did you mean backbone.name=mobilenet_v"),
        (["resnet18", "vgg16"], "one backbone at a time"),
        (["size=8"], "must be in 32..4096"),
        (["sise=64"], "did you mean size=64?"),
    ],
)
def test_what_is_refused(arguments: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        program.main(arguments)
    assert said in str(error.value)
