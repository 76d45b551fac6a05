"""Rule-based replies in place of a model. Only `server.responses` imports this package."""
