"""``fastdl generate``."""

import argparse
import itertools
import sys
from typing import TextIO, cast

from .. import random, set_num_threads
from ._shared import load_model


def run(arguments: argparse.Namespace) -> int:
    """Write the prompt and what the model makes of it."""
    if arguments.threads:
        set_num_threads(arguments.threads)
    model = load_model(arguments.model)
    unknown = sorted(set(arguments.prompt) - set(model.vocabulary.characters))
    if unknown:
        print(f"fastdl: the model does not know {', '.join(map(ascii, unknown))} in the prompt", file=sys.stderr)
    rng = None if arguments.seed is None else random.Generator(arguments.seed)
    letters = model.generate(
        arguments.prompt,
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        rng=rng,
    )
    # A terminal that cannot show a character gets a question mark.
    if hasattr(sys.stdout, "reconfigure"):
        cast(TextIO, sys.stdout).reconfigure(errors="replace")  # type: ignore[attr-defined]
    sys.stdout.write(arguments.prompt)
    for letter in itertools.islice(letters, arguments.length):
        sys.stdout.write(letter)
    sys.stdout.write("\n")
    return 0
