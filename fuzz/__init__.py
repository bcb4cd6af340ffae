"""Argument fuzz over every public callable of fastdl: ``python -m fuzz --seed 1 --seconds 60`` (docs/fuzzing.md).

A recipe is code whose calls are valid: the example of every docstring, every case of the benchmarks, and what is written in
``extra.py``. A fuzzed call is a recipe run up to one of its calls, which gets other arguments than the recipe gave.
"""
