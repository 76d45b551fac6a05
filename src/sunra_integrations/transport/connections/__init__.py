"""Shared connections: which transport carries a call, per process and per event loop."""
