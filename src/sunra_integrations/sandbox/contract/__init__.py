"""The rules of the API. The checks and the OpenAPI document come from the same statements."""
