"""One run, in a process of its own: ``python -m proof.one MODULE RESULT.json ARGUMENTS``."""

import importlib
import json
import sys
import time
from pathlib import Path

import fastdl as fd


def main(module: str, result: str, *arguments: str) -> None:
    """Call the program's ``main`` and write its figures and what they took."""
    program = importlib.import_module(module)
    wall, processor = time.perf_counter(), time.process_time()
    figures = {name: float(value) for name, value in program.main(list(arguments)).items()}
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    config = fd.show_config(mode="dicts") or {}
    found = {
        "parameters": int(figures.pop("parameters", 0)), "figures": figures, "seconds": round(wall, 2),
        "processor_seconds": round(processor, 2), "threads": fd.get_num_threads(), "build": config["build"],
        "version": fd.__version__ if "torch" not in sys.modules else sys.modules["torch"].__version__,
    }  # fmt: skip
    Path(result).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
