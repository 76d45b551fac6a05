"""What Sunra says, as pure values: no I/O, no clock, no environment, no framework.

`requests` is what goes out, `chunk_stream` and `answer` read what comes back, `reply` adds it up,
`failures` names what went wrong.
"""

from sunra_integrations.requirements import check

check("The client", "pydantic")
