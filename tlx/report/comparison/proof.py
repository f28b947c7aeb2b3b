"""Whether frozen tensors stayed bit-identical, from the hashes before and after training."""

from __future__ import annotations

from collections.abc import Iterable

from tlx.report.comparison.records import Record

UNCHANGED, CHANGED, NO_PROOF, NOTHING_FROZEN = "unchanged", "CHANGED", "no proof", "–"
_WORST_FIRST = (CHANGED, NO_PROOF, UNCHANGED, NOTHING_FROZEN)


def proof_of(record: Record) -> str:
    """The word for one run; frozen tensors without both hashes are `no proof`."""
    if not record.number("frozen", "parameters") and not record.get("frozen", "blocks"):
        return NOTHING_FROZEN
    before, after = record.text("frozen", "hash_before"), record.text("frozen", "hash_after")
    if before is None or after is None:
        return NO_PROOF
    return UNCHANGED if before == after else CHANGED


def worst_proof(records: Iterable[Record]) -> str:
    """The word for several runs: one changed run is enough for CHANGED."""
    words = {proof_of(record) for record in records}
    return next(word for word in _WORST_FIRST if word in words)
