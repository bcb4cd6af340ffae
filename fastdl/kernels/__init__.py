"""Typed loops over memory. One source per topic, built once per instruction-set level (see setup.py).

A kernel's contract, the same for all of them:

* nogil, no Python object touched, nothing validated, nothing allocated: the caller did both;
* inputs are ``const``, outputs are given, and do not overlap the inputs unless the kernel says so;
* the result has the same bits for any number of threads: each output element belongs to one thread, and
  sums run over blocks whose size depends on the shape alone, combined in order.

A folder is a room; what it imports lies in rooms below it. Kernels (``*.pyx``) do not call each other.

=============  ===================================================================================
curvature      tangents and adjoint tangents over the table of cells
recurrent      the table of cells, their equations line by line, the walks over time
sequence       losses over sequences, attention
update         the steps of the optimizers
system         the machine, the pool of arrays
product        the matrix tile, the products made of it, dense layers
reduce         reductions over blocks in a fixed order: norms, softmax
draws          random words, dropout
ground         the build and its team, arrays and extents, registers, vectors, scalar formulas
=============  ===================================================================================
"""
