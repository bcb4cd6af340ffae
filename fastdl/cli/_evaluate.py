"""``fastdl evaluate``."""

import argparse
import math
import time

from .. import set_num_threads, text, training
from ._shared import CommandError, held_out_batches, load_model, read_corpus


def run(arguments: argparse.Namespace) -> int:
    """Print bits per character and the speed."""
    if arguments.threads:
        set_num_threads(arguments.threads)
    model = load_model(arguments.model)
    corpus = read_corpus(arguments.files)
    if arguments.held_out or not arguments.files:
        corpus = text.split_held_out(corpus)[1]
    if len(corpus) < 2:
        raise CommandError(f"the text to measure on has {len(corpus)} characters, expected at least 2")
    batches = held_out_batches(model, corpus)
    started = time.perf_counter()
    bits = training.evaluate(model, batches, carry_state=True) / math.log(2)
    seconds = time.perf_counter() - started
    characters = sum(targets.size for _, targets in batches)
    unknown = int((model.vocabulary.compact(corpus) == 0).sum())
    print(f"{bits:.4f} bits per character (perplexity {2**bits:.3f}) over {characters:,} characters")
    if unknown:
        print(f"{unknown:,} characters are not in the model's vocabulary; all count as one and the same")
    print(f"{characters / seconds:,.0f} characters/s")
    return 0
