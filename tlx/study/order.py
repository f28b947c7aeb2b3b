"""The order of a study's runs: arms side by side within a seed, so that drift favours none.

A machine gets slower or faster over the hours of a study (heat, neighbours, clocks). Where all runs
of one arm come before all runs of another, that drift looks like an effect of the freeze.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

Job = list[str]
"""The overrides `KEY=VALUE` of one run."""

SEED = "seed"
BLOCK = (SEED, "data.fold")
"""In whose every value all arms run once: what is paired."""
# Runs that differ in one of these are not set side by side: each value is a study of its own.
_APART = re.compile(
    r"backbone(\.name)?|name|trainer\.(batch_size|accumulate)|(data|detector)(?!\.fold$)(\..+)?"
)


def is_apart(key: str) -> bool:
    """Whether runs that differ in this key are studies of their own."""
    return _APART.fullmatch(key) is not None


def key_of(override: str) -> str:
    """`KEY` of `KEY=VALUE`, without Hydra's `+` and `++`."""
    return override.partition("=")[0].lstrip("+")


def balanced_orders(arms: int, blocks: int) -> list[list[int]]:
    """For each block (a seed) the order in which arms 0..arms-1 run.

    The sum of an arm's places over all blocks is the same for every arm, so a drift that is linear
    in time cancels out of the arms' means. Two blocks do that by running there and back again, and
    three by a Kotzig array (Wallis, Magic Graphs, 2001), for which the number of arms must be odd.
    For an even number of arms in an odd number of blocks no such order exists: the sums then
    differ by one place. A single block has nothing to cancel with.
    """
    there = list(range(arms))
    back = there[::-1]
    if blocks < 3 or blocks % 2 == 0:
        return ([there, back] * ((blocks + 1) // 2))[:blocks]
    return [*_three_blocks(arms), *[there, back] * ((blocks - 3) // 2)]


def _three_blocks(arms: int) -> list[list[int]]:
    there = list(range(arms))
    half = (arms + 1) // 2
    place = [half - 1 - i // 2 if i % 2 == 0 else arms - 1 - i // 2 for i in there]
    second = sorted(there, key=lambda i: place[i])
    latest_first = sorted(there, key=lambda i: -(i + place[i]))
    return [there, second, latest_first]


def arrange(jobs: Sequence[Job]) -> list[Job]:
    """The same jobs, seed by seed and fold by fold, the arms of each in a balanced order.

    Jobs that cannot be compared (another data set or backbone, say) are arranged apart, one set
    after the other. Seeds and arms keep the order in which they were given.
    """
    studies: dict[tuple[str, ...], dict[tuple[str, ...], dict[tuple[str, ...], Job]]] = {}
    for job in jobs:
        apart = tuple(o for o in job if is_apart(key_of(o)))
        seed = tuple(o for o in job if key_of(o) in BLOCK)
        arm = tuple(o for o in job if o not in apart and o not in seed)
        studies.setdefault(apart, {}).setdefault(seed, {})[arm] = job
    arranged: list[Job] = []
    for blocks in studies.values():
        arms = list(dict.fromkeys(arm for block in blocks.values() for arm in block))
        orders = balanced_orders(len(arms), len(blocks))
        for block, order in zip(blocks.values(), orders, strict=True):
            arranged += [block[arms[i]] for i in order if arms[i] in block]
    return arranged
