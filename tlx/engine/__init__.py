"""How the detector is run fast: folded frozen blocks, reduced precision, cached activations."""
