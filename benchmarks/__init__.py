"""What a call costs on the client: ours, the peers and the floors, measured side by side."""
