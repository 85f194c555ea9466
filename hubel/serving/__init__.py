"""Trained networks on line: for programs under /v1, for people at /."""
