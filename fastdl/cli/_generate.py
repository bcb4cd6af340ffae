"""``fastdl generate``."""

import argparse
import itertools
import sys

from .. import random
from ._shared import bad_input, load_model, use_threads
from ._streams import for_terminal, is_terminal, note, set_errors


def run(arguments: argparse.Namespace) -> int:
    """Write the prompt and what the model makes of it."""
    use_threads(arguments.threads)
    model = load_model(arguments.model)
    unknown = sorted(set(arguments.prompt) - set(model.vocabulary.characters))
    if unknown:
        note(f"the model does not know {', '.join(map(ascii, unknown))} in the prompt")
    rng = None if arguments.seed is None else random.Generator(arguments.seed)
    with bad_input():
        letters = model.generate(
            arguments.prompt,
            temperature=arguments.temperature,
            top_k=arguments.top_k,
            top_p=arguments.top_p,
            rng=rng,
        )
    set_errors("replace")  # an output that cannot show a character gets a question mark
    shown = for_terminal if is_terminal(sys.stdout) else str
    sys.stdout.write(shown(arguments.prompt))
    written = itertools.islice(letters, arguments.length)
    while letter := _next(written, arguments.model):
        sys.stdout.write(shown(letter))
    sys.stdout.write("\n")
    return 0


def _next(letters: "itertools.islice[str]", path: str) -> str:
    """The next character, "" at the end."""
    try:
        return next(letters, "")
    except ValueError as error:  # the weights are finite, and what they make is not
        raise FloatingPointError(f"{path}: {error}") from None
