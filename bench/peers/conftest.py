"""``pytest bench`` imports every module for its doctests; these need what may not be installed."""

collect_ignore_glob = ["*.py"]
