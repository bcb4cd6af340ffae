"""One row of a softmax: what cross-entropy, CTC and attention share."""
cimport cython

from libc.math cimport log
from libc.stdint cimport int64_t

from ..ground._math cimport exp_
from ..ground._registers cimport FD_NR_DOUBLE, FD_NR_FLOAT


cdef inline cython.floating largest(const cython.floating* z, Py_ssize_t size) noexcept nogil:
    """max z, in NR lanes that are combined in order. size >= 1."""
    cdef cython.floating lanes[FD_NR_FLOAT]
    cdef cython.floating top = z[0]
    cdef Py_ssize_t j = 0
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    for u in range(nr):
        lanes[u] = top
    while j + nr <= size:
        for u in range(nr):
            lanes[u] = z[j + u] if z[j + u] > lanes[u] else lanes[u]
        j += nr
    for u in range(nr):
        top = lanes[u] if lanes[u] > top else top
    while j < size:
        top = z[j] if z[j] > top else top
        j += 1
    return top


cdef inline cython.floating exponentials(
    const cython.floating* z, Py_ssize_t size, cython.floating* e, cython.floating* top,
) noexcept nogil:
    """e = exp(z - max z), which may be z itself; returns the sum of e, and max z in `top`. size >= 1.

    Maximum and sum run in NR lanes that are combined in order, so their bits depend on the size alone.
    """
    cdef cython.floating lanes[FD_NR_FLOAT]
    cdef cython.floating most = largest(z, size), total = 0
    cdef Py_ssize_t j = 0
    cdef int u, nr = FD_NR_FLOAT if cython.floating is float else FD_NR_DOUBLE
    for j in range(size):
        e[j] = exp_(z[j] - most)
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
    top[0] = most
    return total


cdef inline double row_loss(
    const cython.floating* logits, Py_ssize_t classes, int64_t target, cython.floating smoothing,
    cython.floating scale, cython.floating* gradient,
) noexcept nogil:
    """(6.2) for one row: log sum exp minus the targets' mean logit; gradient = scale (softmax - targets), which may
    take the logits' place."""
    cdef cython.floating top, share, total, wanted = logits[target]
    cdef double behind = 0  # mean distance of the logits from the top one
    cdef Py_ssize_t j
    if smoothing > 0:
        top = largest(logits, classes)
        for j in range(classes):
            behind += <double> top - logits[j]
        behind /= classes
    total = exponentials(logits, classes, gradient, &top)
    share = scale / total
    for j in range(classes):
        gradient[j] = gradient[j] * share
    if smoothing > 0:
        for j in range(classes):
            gradient[j] = gradient[j] - scale * smoothing / classes
    gradient[target] = gradient[target] - scale * (1 - smoothing)
    # Distances from the top rather than the logits themselves: large logits would swallow the logarithm.
    return log(<double> total) + (1 - smoothing) * (<double> top - wanted) + smoothing * behind
