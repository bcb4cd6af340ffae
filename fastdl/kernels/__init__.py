"""Typed loops over memory. One source per topic, built once per instruction-set level (see setup.py).

A kernel's contract, the same for all of them:

* nogil, no Python object touched, nothing validated, nothing allocated: the caller did both;
* inputs are ``const``, outputs are given, and do not overlap the inputs unless the kernel says so;
* the result has the same bits for any number of threads: each output element belongs to one thread, and
  sums run over blocks whose size depends on the shape alone, combined in order.

Inline floor: ``_math.pxd`` (scalar formulas), ``_tile.pxd`` (the matrix tile), ``_philox.pxd`` (random
words), ``_build.pxd`` (what a kernel may ask of its build and team). Kernels do not call each other.
"""
