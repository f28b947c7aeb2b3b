"""Annotations, checks, splits and the decoded pictures that training reads."""
