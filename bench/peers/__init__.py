"""The table's comparisons: ``make bench-peers`` times other libraries in turn with fastdl.

``fastdl/cli/_bench`` has the works and an adapter for each library. ``compare`` times one peer inside the peer's own
virtual environment, ``__main__`` makes the environments and starts it there.
"""
