"""Rule-based replies in place of a model. Only `server` imports this package."""
