"""Freezing: how deep, applied how, proved how, and what it can save."""
