"""Latency on this machine: end to end and per layer, as a record that keeps every sample."""
