"""Fuzzing of everything that reads what a server sends; see `targets` and `python -m fuzz`."""
