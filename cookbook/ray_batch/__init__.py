"""A batch of any size on Ray Data, with `ChatSunra` in async actors; `README.md` tells how."""
