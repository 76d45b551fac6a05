"""The main job on a real text: four ways to ask questions about the US Constitution.

`make demo` runs it; `python -m cookbook.demo --help` tells its options.
"""
