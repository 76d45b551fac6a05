"""`sunra probe`: which features a model really has through the gateway, found out by asking."""
