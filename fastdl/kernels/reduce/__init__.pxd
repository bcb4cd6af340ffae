"""Reductions over blocks in a fixed order; norms, softmax."""
