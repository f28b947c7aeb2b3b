"""Once a run, the folded blocks are compared with the plain ones.

Folding is exact where a block is what folding takes it for, and wrong without a word where it is
not: a layer between convolution and batch norm, a subclass that pads by itself. So each block of
the trunk runs plain and folded on the same input, before anything is trained.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from tlx.common.errors import FreezeError
from tlx.models.inference import Neck, for_inference
from tlx.models.trunk import TrunkNetwork

# Relative L2 error of a block's output. Rounding moves it by about 3e-7 in float32 and by .01 in
# bfloat16; a batch norm that was lost or applied to the wrong layer by tenths and more.
TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 0.05, torch.float16: 0.01}
_PICTURES = 2


class FoldCheck:
    """The outputs of every block as the network is plain, to hold folded ones against.

    Made before `freeze_batch_norm`, which folds in place. Works on copies, on the processor and
    with a generator of its own: neither the network nor the seeded draws of the run notice.
    """

    @torch.no_grad()
    def __init__(self, network: TrunkNetwork) -> None:
        side, generator = network.input_size, torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (_PICTURES, 3, side, side), generator=generator)
        x = (images - network.mean.cpu()) / network.std.cpu()
        # Of each block: what it is given and what it makes of it; of a neck those are lists.
        self.given: list[list[Tensor]] = []
        self.outputs: list[list[Tensor]] = []
        tapped: list[Tensor] = []
        for index, (_, block) in enumerate(network.trunk()):
            plain = deepcopy(block).cpu().eval()
            joins = isinstance(block, Neck)
            self.given.append(tapped if joins else [x])
            self.outputs.append(plain(tapped) if joins else [plain(x)])
            x = self.outputs[-1][-1]
            if index in network.taps:
                tapped = [*tapped, x]

    @torch.no_grad()
    def compare(self, network: TrunkNetwork, dtypes: set[torch.dtype]) -> dict[str, float]:
        """The largest relative difference of a block, by the precision it is computed in.

        Raises `FreezeError` naming the first block that differs by more than `TOLERANCES`.
        """
        largest = {dtype: 0.0 for dtype in sorted(dtypes, key=str)}
        for place, (name, block) in enumerate(network.trunk()):
            given, expected = self.given[place], self.outputs[place]
            variants: list[tuple[nn.Module, torch.dtype]] = [
                (for_inference(block).cpu().to(dtype), dtype) for dtype in largest
            ]
            if network.bn_frozen:  # folded in place too, for training
                variants.append((deepcopy(block).cpu().eval(), torch.float32))
            for variant, dtype in variants:
                inputs = [x.to(dtype) for x in given]
                values = variant(inputs) if isinstance(block, Neck) else [variant(*inputs)]
                off = max(map(_off, values, expected))
                # Written so that NaN, which is no number, is a fault too.
                if not off <= TOLERANCES[dtype]:
                    raise FreezeError(
                        f"block {name}: with its batch norms folded its output differs by "
                        f"{off:.2g} in {_name(dtype)}, {TOLERANCES[dtype]:g} is put up with; a "
                        "layer in it is not what folding takes it for (tlx/models/fold.py), or a "
                        "weight is no number"
                    )
                largest[dtype] = max(largest.get(dtype, 0.0), off)
        return {_name(dtype): off for dtype, off in largest.items()}


def _off(values: Tensor, exact: Tensor) -> float:
    """Relative L2 error; that of an output of zeros is absolute, infinite for another shape."""
    if values.shape != exact.shape:
        return float("inf")
    reference = exact.double()
    norm = float(reference.norm())
    return float((values.double() - reference).norm()) / (norm or 1.0)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
