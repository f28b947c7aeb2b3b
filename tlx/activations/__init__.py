"""Cached outputs of the frozen prefix: computed once for each view of a picture, then read back."""
