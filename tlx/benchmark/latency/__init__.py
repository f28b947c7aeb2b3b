"""Latency of one picture on this machine, from its file to its detections, backend by backend."""
