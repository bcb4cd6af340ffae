"""Dense layers: products with a weight matrix, embedding and softmax cross-entropy."""
cimport cython
cimport numpy as cnp
from cython.parallel cimport parallel, prange, threadid
from libc.stdint cimport int64_t

from ..ground._arrays cimport extent, fits, float_kind, may_read, may_write, reads, within, writes
from ..ground._build cimport fd_barrier, FD_BARRIER_WORDS, FD_LEVEL, fd_team_size
from ..ground._math cimport exp_
from ..ground._registers cimport FD_NR_DOUBLE, FD_NR_FLOAT, panel_width
from ..reduce._softmax cimport row_loss
from ._tile cimport dot, FD_MR, pack_panel, pack_panel_transposed, pack_rows, product, strided

cnp.import_array()
LEVEL = FD_LEVEL.decode()

cdef enum:
    BLOCK_ROWS = 256    # rows of one block of the sum over the batch
    FEW_ROWS = 4        # up to so many rows packing the weights would cost more than it saves


cdef inline Py_ssize_t _up(Py_ssize_t value, Py_ssize_t unit) noexcept nogil:
    return (value + unit - 1) // unit


def work_size(Py_ssize_t rows, Py_ssize_t inputs, Py_ssize_t outputs, Py_ssize_t itemsize):
    """Elements of work space that the linear kernels want."""
    return _work_size(inputs, outputs, itemsize == 4)


cdef inline Py_ssize_t _work_size(Py_ssize_t inputs, Py_ssize_t outputs, bint single) noexcept nogil:
    cdef Py_ssize_t nr = FD_NR_FLOAT if single else FD_NR_DOUBLE
    return max(_up(outputs, nr) * nr * inputs,
               _up(inputs, nr) * nr * outputs
               + BLOCK_ROWS * (_up(inputs, FD_MR) * FD_MR + _up(outputs, nr) * nr))


# ---- Linear: y = x W + b ------------------------------------------------------------------------------------


cdef struct Linear:  # of either type; NULL for what is not there or not wanted
    Py_ssize_t rows, inputs, outputs
    const void* x
    const void* W
    const void* b
    const void* dy
    void* y
    void* dx
    void* dW
    void* db
    bint add
    int num_threads
    int64_t* barrier


cdef inline int _describe(Linear* o, int kind, object x, object W, int num_threads) except -1:
    """The arrays that both passes read. x is (rows, inputs), whatever its axes are."""
    o.inputs, o.outputs, o.num_threads = extent(W, 0), extent(W, 1), num_threads
    fits(num_threads, 1)
    fits(o.inputs, 1)
    o.rows = cnp.PyArray_SIZE(<cnp.ndarray> x) // o.inputs
    o.x, o.W = reads(x, kind, o.rows * o.inputs), reads(W, kind, o.inputs * o.outputs)
    return 0


def linear_forward(x, W, b, y, work, int num_threads):
    """y = x W + b; None for no b."""
    cdef Linear o
    cdef int kind = float_kind(x)
    _describe(&o, kind, x, W, num_threads)
    o.b, o.y = may_read(b, kind, o.outputs), writes(y, kind, o.rows * o.outputs)
    cdef void* work_ = writes(work, kind, _work_size(o.inputs, o.outputs, kind == cnp.NPY_FLOAT))
    with nogil:
        if kind == cnp.NPY_FLOAT:
            _forward(<float*> work_, &o)
        else:
            _forward(<double*> work_, &o)


cdef void _forward(cython.floating* work, Linear* o) noexcept nogil:
    cdef int64_t barrier[FD_BARRIER_WORDS]
    barrier[0] = barrier[8] = 0
    o.barrier = barrier
    if o.num_threads == 1:
        _forward_member(work, o, 0, 1)
        return
    with parallel(num_threads=o.num_threads):
        _forward_member(work, o, threadid(), fd_team_size())


cdef void _forward_member(cython.floating* panels, const Linear* o, Py_ssize_t me, Py_ssize_t team) noexcept nogil:
    cdef const cython.floating* x = <const cython.floating*> o.x
    cdef const cython.floating* W = <const cython.floating*> o.W
    cdef cython.floating* y = <cython.floating*> o.y
    cdef Py_ssize_t nr = panel_width(panels), inputs = o.inputs, outputs = o.outputs, count = _up(outputs, nr)
    cdef Py_ssize_t j, r0, r1
    if o.rows <= FEW_ROWS and outputs % nr == 0:
        if me == 0:
            product(y, outputs, strided(x, inputs, 1), strided(W, outputs, nr), strided(o.b, 0, 1),
                    o.rows, inputs, outputs)
        return
    for j in range(count * me // team, count * (me + 1) // team):
        pack_panel(W + j * nr, outputs, inputs, min(nr, outputs - j * nr), panels + j * inputs * nr)
    fd_barrier(o.barrier, team)
    r0, r1 = o.rows * me // team, o.rows * (me + 1) // team
    product(y + r0 * outputs, outputs, strided(x + r0 * inputs, inputs, 1), strided(panels, nr, inputs * nr),
            strided(o.b, 0, 1), r1 - r0, inputs, outputs)


def linear_backward(dy, x, W, tuple gradients, bint add, work, int num_threads):
    """gradients: (dx, dW, db). dx = dy W^T, dW (+)= x^T dy, db (+)= sum dy; None for a dx, a dW (then db is not
    written) or a db that is not wanted."""
    cdef Linear o
    cdef int kind = float_kind(x)
    dx, dW, db = gradients
    _describe(&o, kind, x, W, num_threads)
    o.dy, o.dx = reads(dy, kind, o.rows * o.outputs), may_write(dx, kind, o.rows * o.inputs)
    o.dW, o.db, o.add = may_write(dW, kind, o.inputs * o.outputs), may_write(db, kind, o.outputs), add
    cdef void* work_ = writes(work, kind, _work_size(o.inputs, o.outputs, kind == cnp.NPY_FLOAT))
    with nogil:
        if kind == cnp.NPY_FLOAT:
            _backward(<float*> work_, &o)
        else:
            _backward(<double*> work_, &o)


cdef void _backward(cython.floating* work, Linear* o) noexcept nogil:
    cdef int64_t barrier[FD_BARRIER_WORDS]
    barrier[0] = barrier[8] = 0
    o.barrier = barrier
    if o.num_threads == 1:
        _backward_member(work, o, 0, 1)
        return
    with parallel(num_threads=o.num_threads):
        _backward_member(work, o, threadid(), fd_team_size())


cdef void _backward_member(cython.floating* work, const Linear* o, Py_ssize_t me, Py_ssize_t team) noexcept nogil:
    cdef Py_ssize_t nr = panel_width(work), r = 0
    if o.dx is not NULL:
        _input_gradient(work, o, me, team)
    while o.dW is not NULL and r < o.rows:
        _outer_products(work + _up(o.inputs, nr) * nr * o.outputs, o, r, me, team)
        r += BLOCK_ROWS


cdef void _input_gradient(cython.floating* panels, const Linear* o, Py_ssize_t me, Py_ssize_t team) noexcept nogil:
    """dx = dy W^T."""
    cdef const cython.floating* dy = <const cython.floating*> o.dy
    cdef const cython.floating* W = <const cython.floating*> o.W
    cdef cython.floating* dx = <cython.floating*> o.dx
    cdef Py_ssize_t nr = panel_width(panels), inputs = o.inputs, outputs = o.outputs, count = _up(inputs, nr)
    cdef Py_ssize_t i, j, r, r0, r1
    if o.rows <= FEW_ROWS:
        if me == 0:
            for r in range(o.rows):
                for i in range(inputs):
                    dx[r * inputs + i] = dot(dy + r * outputs, W + i * outputs, outputs)
        return
    for j in range(count * me // team, count * (me + 1) // team):
        pack_panel_transposed(W + j * nr * outputs, outputs, outputs, min(nr, inputs - j * nr),
                              panels + j * outputs * nr)
    fd_barrier(o.barrier, team)
    r0, r1 = o.rows * me // team, o.rows * (me + 1) // team
    product(dx + r0 * inputs, inputs, strided(dy + r0 * outputs, outputs, 1), strided(panels, nr, outputs * nr),
            strided(NULL, 0, 1), r1 - r0, outputs, inputs)


cdef void _outer_products(
    cython.floating* strips, const Linear* o, Py_ssize_t first, Py_ssize_t me, Py_ssize_t team,
) noexcept nogil:
    """dW (+)= x^T dy and db (+)= sum dy over the block of rows from `first`; tiles of dW are split over the team."""
    cdef Py_ssize_t nr = panel_width(strips), inputs = o.inputs, outputs = o.outputs
    cdef Py_ssize_t rows = min(o.rows - first, BLOCK_ROWS), of_x = _up(inputs, FD_MR), of_y = _up(outputs, nr)
    cdef Py_ssize_t pairs = of_y // 2 * 2 * of_x  # tiles of pairs of panels first: both for one strip, then the next
    cdef Py_ssize_t i, j, r, task, end, count
    cdef const cython.floating* x = <const cython.floating*> o.x + first * inputs
    cdef const cython.floating* dy = <const cython.floating*> o.dy + first * outputs
    cdef cython.floating* dW = <cython.floating*> o.dW
    cdef cython.floating* db = <cython.floating*> o.db
    cdef cython.floating* panels = strips + BLOCK_ROWS * of_x * FD_MR
    cdef cython.floating* to
    cdef bint add = o.add or first > 0
    if db is not NULL:
        for r in range(rows):
            for j in range(outputs * me // team, outputs * (me + 1) // team):
                db[j] = dy[r * outputs + j] + (db[j] if add or r > 0 else 0)
    if rows <= FEW_ROWS:
        if me == 0:
            _few_outer_products(x, dy, rows, inputs, outputs, dW, add)
        return
    for i in range(of_x * me // team, of_x * (me + 1) // team):
        pack_rows(x + i * FD_MR, inputs, rows, min(FD_MR, inputs - i * FD_MR), strips + i * BLOCK_ROWS * FD_MR)
    for j in range(of_y * me // team, of_y * (me + 1) // team):
        pack_panel(dy + j * nr, outputs, rows, min(nr, outputs - j * nr), panels + j * BLOCK_ROWS * nr)
    fd_barrier(o.barrier, team)
    task, end = of_x * of_y * me // team, of_x * of_y * (me + 1) // team
    while task < end:
        if task < pairs:
            i, j = task // 2 % of_x, task // (2 * of_x) * 2 + task % 2
            count = 2 if j % 2 == 0 and task + 1 < end else 1
        else:
            i, j, count = (task - pairs) % of_x, of_y - 1, 1
        to = dW + i * FD_MR * outputs + j * nr
        product(to, outputs, strided(strips + i * BLOCK_ROWS * FD_MR, 1, FD_MR),
                strided(panels + j * BLOCK_ROWS * nr, nr, BLOCK_ROWS * nr), strided(to if add else NULL, outputs, 1),
                min(FD_MR, inputs - i * FD_MR), rows, min(count * nr, outputs - j * nr))
        task += count
    fd_barrier(o.barrier, team)  # strips and panels may be overwritten


cdef void _few_outer_products(
    const cython.floating* x, const cython.floating* dy, Py_ssize_t rows, Py_ssize_t inputs,
    Py_ssize_t outputs, cython.floating* dW, bint add,
) noexcept nogil:
    cdef Py_ssize_t i, j, r
    cdef cython.floating value
    for i in range(inputs):
        for r in range(rows):
            value = x[r * inputs + i]
            if r == 0 and not add:
                for j in range(outputs):
                    dW[i * outputs + j] = value * dy[j]
            else:
                for j in range(outputs):
                    dW[i * outputs + j] = dW[i * outputs + j] + value * dy[r * outputs + j]


# ---- Embedding ----------------------------------------------------------------------------------------------


def embedding_backward(const cython.floating[:, ::1] dy, const int64_t[::1] index,
                       cython.floating[:, ::1] dW, int num_threads):
    """dW[index[r]] += dy[r], in order of r; threads own columns."""
    cdef Py_ssize_t width = dW.shape[1], me, r, j
    fits(index.shape[0], dy.shape[0])
    fits(dy.shape[1], width)
    if dy.shape[0]:
        within(&index[0], dy.shape[0], dW.shape[0])
    for me in prange(num_threads, nogil=True, num_threads=num_threads, schedule="static", chunksize=1):
        for r in range(dy.shape[0]):
            for j in range(width * me // num_threads, width * (me + 1) // num_threads):
                dW[index[r], j] = dW[index[r], j] + dy[r, j]


# ---- Softmax cross-entropy ----------------------------------------------------------------------------------


def exp_nonpositive(const cython.floating[::1] x, cython.floating[::1] y):
    """The exponential as softmax uses it: for x <= 0."""
    cdef Py_ssize_t i
    fits(y.shape[0], x.shape[0])
    with nogil:
        for i in range(x.shape[0]):
            y[i] = exp_(x[i])


cdef double _row_loss(
    const cython.floating* logits, Py_ssize_t classes, int64_t target, int64_t ignore, cython.floating smoothing,
    cython.floating scale, cython.floating* gradient,
) noexcept nogil:
    """Of a row that may be ignored."""
    cdef Py_ssize_t j
    if target == ignore:
        for j in range(classes):
            gradient[j] = 0
        return 0
    return row_loss(logits, classes, target, smoothing, scale, gradient)


cdef inline int _check_targets(const int64_t* targets, Py_ssize_t rows, int64_t classes, int64_t ignore) except -1:
    cdef Py_ssize_t r
    cdef bint good = True
    for r in range(rows):
        good = good and (0 <= targets[r] < classes or targets[r] == ignore)
    if not good:
        raise ValueError(f"kernel: got a target outside of 0 to {classes - 1}")
    return 0


cdef struct Losses:  # rows of logits, of either type
    Py_ssize_t rows, classes
    const void* logits
    const int64_t* targets
    int64_t ignore
    double smoothing, scale
    double* losses
    int num_threads


def softmax_cross_entropy(
    logits, targets, int64_t ignore, double smoothing, double scale, losses, gradient, int num_threads,
):
    """Each row's loss and its gradient times `scale`; both zero where the target is `ignore`. Rows: all axes of the
    logits but the last."""
    cdef Losses o
    cdef int kind = float_kind(logits)
    o.rows = cnp.PyArray_SIZE(<cnp.ndarray> targets)
    o.classes = extent(logits, cnp.PyArray_NDIM(<cnp.ndarray> logits) - 1)
    o.logits = reads(logits, kind, o.rows * o.classes)
    o.targets = <const int64_t*> reads(targets, cnp.NPY_INT64, o.rows)
    o.losses = <double*> writes(losses, cnp.NPY_DOUBLE, o.rows)
    o.ignore, o.smoothing, o.scale, o.num_threads = ignore, smoothing, scale, num_threads
    cdef void* gradient_ = writes(gradient, kind, o.rows * o.classes)
    _check_targets(o.targets, o.rows, o.classes, ignore)
    with nogil:
        if kind == cnp.NPY_FLOAT:
            _losses(<float*> gradient_, &o)
        else:
            _losses(<double*> gradient_, &o)


cdef void _losses(cython.floating* gradient, const Losses* o) noexcept nogil:
    cdef Py_ssize_t r, classes = o.classes
    cdef const cython.floating* logits = <const cython.floating*> o.logits
    cdef cython.floating smoothing = <cython.floating> o.smoothing, scale = <cython.floating> o.scale
    if o.num_threads == 1:  # starting a team of one would take longer than a few rows
        for r in range(o.rows):
            o.losses[r] = _row_loss(logits + r * classes, classes, o.targets[r], o.ignore, smoothing, scale,
                                    gradient + r * classes)
        return
    for r in prange(o.rows, num_threads=o.num_threads, schedule="static"):
        o.losses[r] = _row_loss(logits + r * classes, classes, o.targets[r], o.ignore, smoothing, scale,
                                gradient + r * classes)
