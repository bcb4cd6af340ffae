"""``python -m peers.learn MODULE``: runs lessons as told, line by line, with one library on one thread.

A request is ``{"task", "cell", "init", "seed", "limit", "seconds"}`` in JSON, the answer what ``lessons.learn`` gives:
``{"steps", "learnt", "loss"}``, or null where the seconds are over.
"""

import importlib
import json
import sys
from typing import Any

from .lessons import learn, lessons


def main(name: str) -> None:
    module = importlib.import_module(f"peers.{name}")
    module.set_threads(1)
    for line in sys.stdin:
        print(json.dumps(_answer(module, **json.loads(line))), flush=True)


def _answer(
    module: Any, task: str, cell: str, init: str, seed: int, limit: int, seconds: float
) -> dict[str, Any] | None:
    lesson = lessons()[task]._replace(limit=limit)
    return learn(lesson, module.learner(lesson, cell, init, seed), seed, seconds)


if __name__ == "__main__":
    main(sys.argv[1])
