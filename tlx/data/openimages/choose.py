"""Which pictures of a large subset: always whole pictures, the same for the same seed.

A picture's place in the order follows from the seed and its name alone, so that of two limits the
smaller one takes (nearly) a part of what the larger one takes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from fractions import Fraction

from tlx.data.openimages.boxes import Images

Splits = dict[str, Images]


def at_most_images(splits: Splits, limit: int, seed: int) -> Splits:
    """About `limit` pictures in all: each split, and in it each class, keeps its share.

    A picture of several classes counts for the one that fewest pictures of the subset have.
    """
    sizes = {split: len(images) for split, images in splits.items()}
    if limit >= sum(sizes.values()):
        return splits
    holding: dict[str, int] = {}
    for images in splits.values():
        for _, counts in images.all_counts():
            for name in counts:
                holding[name] = holding.get(name, 0) + 1
    chosen = {}
    for split, quota in shares(sizes, limit).items():
        images = splits[split]
        members: dict[str, list[str]] = {}
        for image, counts in images.all_counts():
            rarest = min(counts, key=lambda name: (holding[name], name))
            members.setdefault(rarest, []).append(image)
        quotas = shares({name: len(each) for name, each in members.items()}, quota)
        taken = {
            image
            for name, each in members.items()
            for image in sorted(each, key=lambda image: _place(seed, image))[: quotas[name]]
        }
        chosen[split] = images.only(image for image in images if image in taken)
    return chosen


def at_most_boxes(splits: Splits, limit: int, seed: int) -> Splits:
    """At most `limit` boxes of each class in all, each split with its share of them.

    A picture that would go beyond that is left out whole: without some of its boxes, the objects
    in it would be taught to be background.
    """
    boxes = {split: images.boxes() for split, images in splits.items()}
    limits: dict[str, dict[str, int]] = {split: {} for split in splits}
    for name in {name for each in boxes.values() for name in each}:
        sizes = {split: each.get(name, 0) for split, each in boxes.items()}
        for split, share in shares(sizes, min(limit, sum(sizes.values()))).items():
            limits[split][name] = share
    chosen = {}
    for split, images in splits.items():
        left, taken = limits[split], set()
        for image in sorted(images, key=lambda image: _place(seed, image)):
            counts = images.counts(image)
            if all(count <= left[name] for name, count in counts.items()):
                taken.add(image)
                for name, count in counts.items():
                    left[name] -= count
        chosen[split] = images.only(image for image in images if image in taken)
    return chosen


def shares(sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """`total` dealt out in proportion to the sizes, by the largest remainder; none above its size.

    What is not empty keeps one, as far as `total` goes.
    """
    whole = sum(sizes.values())
    if not whole:
        return dict.fromkeys(sizes, 0)
    exact = {name: Fraction(size * total, whole) for name, size in sizes.items()}
    dealt = {name: int(share) for name, share in exact.items()}
    remainders = sorted(exact, key=lambda name: (dealt[name] - exact[name], name))
    for name in remainders[: total - sum(dealt.values())]:
        dealt[name] += 1
    for name in sorted(sizes, key=lambda name: (sizes[name], name)):
        largest = max(dealt, key=lambda other: (dealt[other], other))
        if sizes[name] and not dealt[name] and dealt[largest] > 1:
            dealt[name], dealt[largest] = 1, dealt[largest] - 1
    return dealt


def _place(seed: int, image: str) -> bytes:
    return hashlib.blake2b(f"{seed}:{image}".encode(), digest_size=8).digest()
