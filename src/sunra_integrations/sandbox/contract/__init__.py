"""The rules of the wire. The checks and the OpenAPI document come from the same statements."""
