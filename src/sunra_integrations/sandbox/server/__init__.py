"""The local endpoint: ASGI application, scripting, delivery with faults, request log."""
