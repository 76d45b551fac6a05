"""What the README says of this package and of its peers, found out by running all of them.

`python -m scripts.comparison` asks each contestant the same of a sandbox and writes
`docs/comparison.md` and the table of the README. The suite holds the columns of this package.
"""
