"""The format of Sunra's requests and responses: no I/O, clock, environment or framework.

`request` encodes what is sent. `stream` and `completion` parse what is received, and `accumulator`
adds it up. `error_parsing` turns failures into exceptions.
"""

from sunra_integrations.requirements import check

check("The client", "pydantic")
