"""Whole models, ready to train: :class:`CharLM`, a character language model."""

from ._char_lm import CharLM

__all__ = ["CharLM"]
