"""One row of a softmax: what cross-entropy, CTC and attention share."""
cimport cython

from ..ground._math cimport exp_
from ..ground._registers cimport FD_NR_DOUBLE, FD_NR_FLOAT


cdef inline cython.floating exponentials(
    const cython.floating* z, Py_ssize_t size, cython.floating* e, cython.floating* top,
) noexcept nogil:
    """e = exp(z - max z), which may be z itself; returns the sum of e, and max z in `top`. size >= 1.

    Maximum and sum run in NR lanes that are combined in order, so their bits depend on the size alone.
    """
    cdef cython.floating lanes[FD_NR_FLOAT]
    cdef cython.floating largest = z[0], total = 0
    cdef Py_ssize_t j = 0
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    for u in range(nr):
        lanes[u] = largest
    while j + nr <= size:
        for u in range(nr):
            lanes[u] = z[j + u] if z[j + u] > lanes[u] else lanes[u]
        j += nr
    for u in range(nr):
        largest = lanes[u] if lanes[u] > largest else largest
    while j < size:
        largest = z[j] if z[j] > largest else largest
        j += 1
    for j in range(size):
        e[j] = exp_(z[j] - largest)
    for u in range(nr):
        lanes[u] = 0
    j = 0
    while j + nr <= size:
        for u in range(nr):
            lanes[u] = lanes[u] + e[j + u]
        j += nr
    for u in range(nr):
        total = total + lanes[u]
    while j < size:
        total = total + e[j]
        j += 1
    top[0] = largest
    return total
