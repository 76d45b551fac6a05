"""Fuzzing of everything that parses responses; see `targets` and `python -m fuzz`."""
