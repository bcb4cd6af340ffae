"""``fastdl evaluate``."""

import argparse
import math
import time

from .. import text, training
from ._shared import CommandError, bad_input, held_out_batches, load_model, read_corpus, use_threads


def run(arguments: argparse.Namespace) -> int:
    """Print bits per character and the speed."""
    use_threads(arguments.threads)
    model = load_model(arguments.model)
    corpus = read_corpus(arguments.files)
    if arguments.held_out or not arguments.files:
        corpus = text.split_held_out(corpus)[1]
    if len(corpus) < 2:
        raise CommandError(f"the text to measure on has {len(corpus)} characters, expected at least 2")
    batches = held_out_batches(model, corpus)
    started = time.perf_counter()
    with bad_input():
        nats = training.evaluate(model, batches, carry_state=True)
    seconds = time.perf_counter() - started
    if not math.isfinite(nats):
        raise FloatingPointError(f"{arguments.model}: the loss is {nats}: the model's outputs are not finite")
    characters = sum(targets.size for _, targets in batches)
    unknown = int((model.vocabulary.compact(corpus) == 0).sum())
    bits = nats / math.log(2)
    perplexity = math.exp(nats) if nats < 700 else math.inf
    print(f"{bits:.4f} bits per character (perplexity {perplexity:.3f}) over {characters:,} characters")
    if unknown:
        print(f"{unknown:,} characters are not in the model's vocabulary; all count as one and the same")
    print(f"{characters / max(seconds, 1e-9):,.0f} characters/s")
    return 0
