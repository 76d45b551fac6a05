"""Comparison of this package with other integrations, by running each of them.

`python -m scripts.comparison` runs every claim with every class against a sandbox. It writes
`docs/comparison.md` and the table in the README. The test suite checks our columns.
"""
