"""What a worker can be told to do. Each task answers with its figures by name."""
