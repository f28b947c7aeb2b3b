"""The program `tlx weights`: published checkpoints to start from."""
