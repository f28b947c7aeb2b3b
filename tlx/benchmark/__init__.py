"""Benchmarks: both sides of every comparison measured in one run, on one machine."""
