"""A small MCP server: the orders of a shop, for the notebook on MCP tools. It runs over stdio."""

from __future__ import annotations

from mcp.server.fastmcp import FastMCP

ORDERS = {
    1042: "Order 1042: two lamps, 89.00 EUR, shipped on 3 March to Bergen.",
    1043: "Order 1043: one desk, 240.00 EUR, waiting for payment.",
}
server = FastMCP("shop", log_level="WARNING")


@server.tool()
def order_status(order_number: int) -> str:
    """Look up the status of an order."""
    if order_number not in ORDERS:
        raise ValueError(f"There is no order {order_number}.")
    return ORDERS[order_number]


@server.tool()
def shipping_cost(weight: float, country: str) -> str:
    """Compute the shipping cost of a parcel, by its weight in kilograms."""
    return f"Shipping {weight:g} kg to {country} costs {6 + 1.5 * weight:.2f} EUR."


@server.resource("shop://returns", mime_type="text/plain")
def returns() -> str:
    """The rules for returns."""
    return "Returns are free for 30 days. Lamps must be unused."


if __name__ == "__main__":
    server.run()
