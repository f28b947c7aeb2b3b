"""SSD: priors, box coding, matching, loss, heads and the detector itself."""
