"""SSD (Liu et al. 2016) on a backbone of named blocks, put together of a neck and heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from tlx.models.backbones.base import BackboneSpec, Conventions
from tlx.models.detector import register
from tlx.models.detectors.ssd import fpn
from tlx.models.detectors.ssd.extras import EXTRA_CHANNELS, EXTRA_NAMES, make_extras
from tlx.models.detectors.ssd.heads import Heads, Separable, convolution
from tlx.models.detectors.ssd.layers import Hidden, MapNorm
from tlx.models.detectors.ssd.multibox import MultiBox
from tlx.models.detectors.ssd.priors import ANCHORS_PER_CELL, cells_of_maps, make_priors
from tlx.models.detectors.ssd.scores import FOCAL
from tlx.models.detectors.ssd.shared import SharedHeads

NECKS = {"none": (), "extras": EXTRA_NAMES, "fpn": (fpn.NAME,), "fpnlite": (fpn.NAME,)}
"""Names of the trunk's blocks behind the backbone, by the neck."""
PREDICTORS = {
    "ssd": convolution(3), "ssd_1x1": convolution(1), "ssdlite": Separable,
    "hidden": convolution(3),
}  # fmt: skip
HEADS = (*PREDICTORS, "shared")
NORMS = ("auto", "batch", "none")


@register
class SSD(MultiBox):
    """SSD with a choice of necks and heads; by itself six maps, 3x3 heads, priors of mb1-ssd.

    Args:
        neck: `extras`: four extra maps behind the backbone; `none`: the backbone's maps only;
            `fpn`: a feature pyramid of five maps; `fpnlite`: one of separable convolutions.
        head: `ssd`: 3x3 convolutions; `ssd_1x1`; `ssdlite`: separable ones; `hidden`: 3x3 behind a
            hidden layer for each map; `shared`: two towers that all maps share, with focal loss.
        width: channels of the hidden layers, of the pyramid and of the towers.
        depth: convolutions of a tower (`shared`).
        norm: of the maps that the heads read. `auto`: batch norm before a hidden layer, and on maps
            of a backbone that end without an activation; `batch`: on all; `none`: on none.
    """

    name = "ssd"
    own_blocks = EXTRA_NAMES
    options = ("neck", "head", "width", "depth", "norm")
    DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "neck": "extras", "head": "ssd", "width": 128, "depth": 4, "norm": "auto",
    }  # fmt: skip

    def __init__(
        self, spec: BackboneSpec, conventions: Conventions, classes: int, input_size: int,
        neck: str = "extras", head: str = "ssd", width: int = 128, depth: int = 4,
        norm: str = "auto",
    ) -> None:  # fmt: skip
        super().__init__(spec, conventions, classes, input_size)
        given: dict[str, Any] = {
            "neck": neck,
            "head": head,
            "width": width,
            "depth": depth,
            "norm": norm,
        }
        _check(given)
        self.built_with = {k: v for k, v in given.items() if v != self.DEFAULTS[k] or k == "head"}
        channels, priors, anchors = self._make_neck(neck, width)
        if head == "shared":
            self.scores = FOCAL  # type: ignore[misc]
            separable = neck == "fpnlite"
            heads: nn.Module = SharedHeads(
                channels, classes, anchors, width=width, depth=depth, separable=separable
            )
        else:
            pyramid = neck.startswith("fpn")
            linear = 0 if pyramid or not self.backbone.linear_taps else len(self.backbone.taps)
            normed = {"auto": linear, "batch": len(channels), "none": 0}[norm]
            hidden = [Hidden(c, width, norm_first=norm != "none") for c in channels]
            heads = Heads(
                channels, classes + 1, [anchors] * len(channels), PREDICTORS[head],
                norms=[] if head == "hidden" else [MapNorm(c) for c in channels[:normed]],
                hidden=hidden if head == "hidden" else [],
            )  # fmt: skip
        self._assemble(heads, priors)

    @classmethod
    def blocks_behind(cls, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Of the neck."""
        return NECKS[options.get("neck", "extras")]

    @classmethod
    def unread(cls, options: Mapping[str, Any]) -> set[str]:
        """Width and depth are of some necks and heads only; a hidden layer has its norms."""
        neck, head = options["neck"], options["head"]
        found = {"depth"} if head != "shared" else {"norm"}
        if head not in ("hidden", "shared") and not neck.startswith("fpn"):
            found.add("width")
        if head == "hidden" and options["norm"] == "batch":
            found.add("norm")
        return found

    def _make_neck(self, neck: str, width: int) -> tuple[list[int], Tensor, int]:
        """Build the blocks behind the backbone; channels of the maps, priors, anchors of a cell."""
        backbone, size = self.backbone, self.input_size
        if neck in ("fpn", "fpnlite"):
            taps = fpn.pyramid_taps(backbone)
            strides = fpn.STRIDES[: len(taps)]
            cells = cells_of_maps(size, strides, fpn.MAPS - len(taps))
            channels = [backbone.channels[t] for t in taps]
            pyramid = fpn.FPN(channels, cells[: len(taps)], width, separable=neck == "fpnlite")
            self.extras[fpn.NAME] = pyramid
            self.taps = set(taps)
            anchors = fpn.pyramid_anchors(size, cells)
            return [width] * len(cells), anchors, fpn.ANCHORS_PER_CELL
        extras = nn.ModuleDict()
        if neck == "extras":
            extras = make_extras(backbone.channels[-1])
        channels = self._stack(extras, [c for _, c in EXTRA_CHANNELS][: len(extras)])
        return channels, make_priors(size, self._cells()), ANCHORS_PER_CELL


def _check(options: Mapping[str, Any]) -> None:
    """Of a configuration they are checked before; a checkpoint's may be anybody's."""
    for key, known in (("neck", NECKS), ("head", HEADS), ("norm", NORMS)):
        if options[key] not in known:
            raise ValueError(f"detector.{key}={options[key]} is none of {', '.join(known)}")
    for key, most in (("width", 1024), ("depth", 8)):
        value = options[key]
        if type(value) is not int or not 1 <= value <= most:
            raise ValueError(f"detector.{key}={value} is no number from 1 to {most}")
