"""mb2-ssd-lite: against a network in the layout that pytorch-ssd writes its checkpoints in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tlx.common.errors import ConfigError
from tlx.config.check import check_config
from tlx.models.backbones.base import backbone_spec
from tlx.models.backbones.weights import resolve
from tlx.models.detector import Detector, build_detector, detector_class

CLASSES = 3
# Output channels, repeats, stride of the inverted residuals (Sandler et al. 2018, table 2).
TABLE = ((16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
EXTRAS = ((512, 0.2), (256, 0.25), (256, 0.5), (64, 0.25))


class Residual(nn.Module):
    def __init__(self, cin: int, cout: int, stride: int, expand: float) -> None:
        super().__init__()
        middle = round(cin * expand)
        wide: list[nn.Module] = [
            nn.Conv2d(cin, middle, 1, bias=False), nn.BatchNorm2d(middle), nn.ReLU6()
        ]  # fmt: skip
        self.conv = nn.Sequential(
            *(wide if expand != 1 else []),
            nn.Conv2d(middle, middle, 3, stride, 1, groups=middle, bias=False),
            nn.BatchNorm2d(middle), nn.ReLU6(),
            nn.Conv2d(middle, cout, 1, bias=False), nn.BatchNorm2d(cout),
        )  # fmt: skip
        self.adds = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.adds else self.conv(x)


def head(cin: int, cout: int) -> nn.Module:
    if cin == 64:
        return nn.Conv2d(cin, cout, 1)
    return nn.Sequential(
        nn.Conv2d(cin, cin, 3, 1, 1, groups=cin), nn.BatchNorm2d(cin), nn.ReLU6(),
        nn.Conv2d(cin, cout, 1),
    )  # fmt: skip


class Reference(nn.Module):
    """Maps: behind the expansion of layer 14, behind layer 18, behind each extra."""

    def __init__(self) -> None:
        super().__init__()
        stem = [nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6()]
        layers: list[nn.Module] = [nn.Sequential(*stem)]
        cin = 32
        for cout, repeats, stride in TABLE:
            for i in range(repeats):
                layers.append(Residual(cin, cout, stride if i == 0 else 1, 1 if cin == 32 and
                                       cout == 16 else 6))  # fmt: skip
                cin = cout
        last = [nn.Conv2d(cin, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU6()]
        self.base_net = nn.Sequential(*layers, nn.Sequential(*last))
        self.extras, channels = nn.ModuleList(), [576, 1280]
        for cout, expand in EXTRAS:
            self.extras.append(Residual(channels[-1], cout, 2, expand))
            channels.append(cout)
        self.classification_headers = nn.ModuleList(head(c, 6 * (CLASSES + 1)) for c in channels)
        self.regression_headers = nn.ModuleList(head(c, 6 * 4) for c in channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps = []
        for i, layer in enumerate(self.base_net):
            if i == 14:
                x = layer.conv[:3](x)
                maps.append(x)
                x = layer.conv[3:](x)
            else:
                x = layer(x)
        maps.append(x)
        for extra in self.extras:
            maps.append(extra(maps[-1]))
        rows: list[Tensor] = []
        for heads, width in ((self.classification_headers, CLASSES + 1),
                             (self.regression_headers, 4)):  # fmt: skip
            flat = [h(m).permute(0, 2, 3, 1).reshape(len(x), -1, width)
                    for h, m in zip(heads, maps, strict=True)]  # fmt: skip
            rows.append(torch.cat(flat, 1))
        return rows[0], rows[1]


def checkpoint(path: Path) -> Reference:
    torch.manual_seed(0)
    net = Reference().train()
    with torch.no_grad():
        net(torch.randn(4, 3, 300, 300))  # statistics of its own
    # As the published file: of a torch that counted no batches. It has 404 tensors.
    state = {k: v for k, v in net.state_dict().items() if "num_batches" not in k}
    assert len(state) == 404
    torch.save(state, path)
    return net.eval()


def read(path: Path, classes: int = CLASSES) -> Detector:
    spec = detector_class("mb2_ssd_lite").backbone_for(backbone_spec("mobilenet_v2"))
    pretrained = resolve(spec, str(path))
    detector = build_detector("mb2_ssd_lite", spec, pretrained.conventions, classes, 300, {})
    detector.load_pretrained(pretrained)
    return detector.eval()


def test_the_same_outputs(tmp_path: Path) -> None:
    net = checkpoint(tmp_path / "mb2.pth")
    detector = read(tmp_path / "mb2.pth")
    assert detector.loaded == {name for name, _ in detector.trunk()}
    assert detector.priors.shape == (3000, 4)
    image = torch.randint(0, 256, (1, 3, 300, 300), generator=torch.Generator().manual_seed(1))
    x = detector.normalize(image)
    assert torch.allclose(x, (image - 127.0) / 128, atol=1e-5)
    with torch.no_grad():
        expected, found = net(x), detector(x)  # ours folded
    for ours, theirs in zip(found, expected, strict=True):
        assert theirs.std() > 0.01
        assert torch.allclose(ours, theirs, atol=1e-4)


def test_of_other_classes_boxes_are_taken(tmp_path: Path) -> None:
    net = checkpoint(tmp_path / "mb2.pth")
    detector: Any = read(tmp_path / "mb2.pth", CLASSES + 1)
    theirs: Any = net.regression_headers
    assert torch.equal(detector.heads.regress[0].project.weight, theirs[0][3].weight)
    assert detector.heads.classify[0].project.out_channels == 6 * (CLASSES + 2)


def test_the_backbone_is_a_start_of_its_own(tmp_path: Path) -> None:
    net = checkpoint(tmp_path / "mb2.pth")
    spec = backbone_spec("mobilenet_v2")
    pretrained = resolve(spec, str(tmp_path / "mb2.pth"))
    plain = build_detector("ssd", spec, pretrained.conventions, 2, 96, {})
    plain.load_pretrained(pretrained)
    assert set(spec.blocks) <= plain.loaded
    theirs: Any = net.base_net[17]
    assert torch.equal(plain.backbone.blocks["bottleneck_17"].conv[2].weight, theirs.conv[6].weight)


def test_another_backbone_is_refused(compose_config: Any) -> None:
    with pytest.raises(ConfigError, match="stands on mobilenet_v2, not on vgg16"):
        check_config(compose_config("detector=mb2_ssd_lite", "backbone=vgg16"))
