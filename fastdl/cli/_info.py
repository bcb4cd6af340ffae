"""``fastdl info``."""

import argparse

from .. import saving
from ._shared import bad_input


def run(arguments: argparse.Namespace) -> int:
    """Print what a file of a model holds."""
    with bad_input():
        found = saving.info(arguments.file)
    print(f"{arguments.file}: {found['format']}, {found['bytes']:,} bytes, {found['parameters']:,} numbers")
    if found["classes"]:
        print("layers: " + ", ".join(f"{count} x {name}" for name, count in found["classes"].items()))
    width = max((len(name) for name in found["arrays"]), default=0)
    for name, (shape, dtype) in found["arrays"].items():
        print(f"  {name:<{width}}  {dtype:<8} {' x '.join(map(str, shape)) or 'a number'}")
    for name, text in found["metadata"].items():
        print(f"{name}: {text if len(text) <= 100 else f'{text[:97]}...'}")
    return 0
