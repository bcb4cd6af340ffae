"""The machine and the OpenMP runtime, as the compiled code sees them."""
cimport numpy as cnp
from cpython.pyport cimport PY_SSIZE_T_MAX
from cython cimport floating
from cython.parallel cimport prange
from libc.stdlib cimport free
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

from ..ground._build cimport fd_has_avx2, fd_has_avx512, FD_LEVEL, fd_max_threads, FD_OPENMP, fd_pause_workers
from ..ground._registers cimport FD_NR_DOUBLE, FD_NR_FLOAT, madd
from ..ground._stream cimport fd_prefetch_page
from ..product._tile cimport FD_MR


cdef extern from *:
    """
    #include <stdlib.h>
    #if defined(__linux__)
    #include <sys/mman.h>
    #endif
    /* Memory at a cache line; large blocks at, and of, huge pages where the system has them. */
    static void *fd_take(size_t size) {
        size_t page = (size_t)2 << 20, unit = size >= 2 * page ? page : 64;
        void *memory = NULL;
        size = (size + unit - 1) / unit * unit;
        if (posix_memalign(&memory, unit, size)) return NULL;
    #if defined(__linux__) && defined(MADV_HUGEPAGE)
        if (unit == page) madvise(memory, size, MADV_HUGEPAGE);
    #endif
        return memory;
    }
    """
    void* fd_take(size_t size) nogil

LEVEL = FD_LEVEL.decode()


def supported_levels():
    """Names of the builds this processor can run, worst first (asked of the processor, not of the build)."""
    levels = ["baseline"]
    if fd_has_avx2():
        levels.append("avx2")
    if fd_has_avx512():
        levels.append("avx512")
    return levels


def openmp_version():
    """The OpenMP date the build was compiled for (201511 is 4.5), or 0 for a build without threads."""
    return FD_OPENMP


def openmp_max_threads():
    """The calling thread's limit: OMP_NUM_THREADS or the cores, unless somebody lowered it since."""
    return fd_max_threads()


def pause_workers():
    """End the calling thread's idle workers; True when the runtime could."""
    return fd_pause_workers() == 0


# ---- Memory that is used again ----------------------------------------------------------------------------------

cdef enum:
    KEPT = 24                          # blocks the pool holds at most
cdef size_t KEPT_BYTES = 256 << 20     # and their total
cdef size_t SMALL = 1 << 15            # below this the C library's own lists are as good

cdef void* _kept[KEPT]
cdef size_t _kept_size[KEPT]
cdef int _kept_count = 0
cdef size_t _kept_bytes = 0


cdef class Block:
    """Aligned memory behind an array. When the last array over it is gone, the pool keeps it for the next.

    Fresh memory costs a page fault and a page of zeros every 4 KiB (docs/profiling.md).
    """
    cdef void* memory
    cdef size_t size
    cdef Py_ssize_t length

    def __cinit__(self, Py_ssize_t length):
        global _kept_count, _kept_bytes
        cdef int i, best = -1
        self.length = length
        self.size = max(length, 1)
        if self.size >= SMALL:
            # The smallest kept block that fits without wasting more than half of it.
            for i in range(_kept_count):
                if self.size <= _kept_size[i] <= 2 * self.size and (best < 0 or _kept_size[i] < _kept_size[best]):
                    best = i
            if best >= 0:
                self.memory, self.size = _kept[best], _kept_size[best]
                _forget(best)
                return
        self.memory = fd_take(self.size)
        if self.memory is NULL:
            raise MemoryError(f"no memory for an array of {length:,} bytes")

    def __dealloc__(self):
        global _kept_count, _kept_bytes
        if self.memory is NULL:
            return
        if self.size < SMALL or self.size > KEPT_BYTES:
            free(self.memory)
            return
        while _kept_count == KEPT or _kept_bytes + self.size > KEPT_BYTES:
            free(_kept[0])  # the one that has waited longest
            _forget(0)
        _kept[_kept_count], _kept_size[_kept_count] = self.memory, self.size
        _kept_count += 1
        _kept_bytes += self.size


cdef void _forget(int index) noexcept:
    global _kept_count, _kept_bytes
    cdef int i
    _kept_bytes -= _kept_size[index]
    _kept_count -= 1
    for i in range(index, _kept_count):
        _kept[i], _kept_size[i] = _kept[i + 1], _kept_size[i + 1]


# ---- Arrays as kernels take them ---------------------------------------------------------------------------------
# Asked some twenty times in a training step: in Python, the questions took longer than a small layer.

cnp.import_array()


def is_plain(value, dtype=None, shape=None, bint written=False):
    """Whether a kernel can take `value` as it lies: float32 or float64 (or only `dtype`), contiguous, aligned, native.

    shape: a tuple of the expected extents, None for any. written: whether it must be writeable, too.
    """
    if not cnp.PyArray_CheckExact(value):
        return False
    cdef cnp.ndarray array = <cnp.ndarray> value
    cdef int kind = cnp.PyArray_TYPE(array), axis
    if not (kind == cnp.NPY_FLOAT or kind == cnp.NPY_DOUBLE) or not cnp.PyArray_ISCARRAY_RO(array):
        return False
    if dtype is not None and (<cnp.dtype?> dtype).type_num != kind:
        return False
    if written and not cnp.PyArray_ISWRITEABLE(array):
        return False
    if shape is None:
        return True
    cdef tuple wanted = shape
    if len(wanted) != cnp.PyArray_NDIM(array):
        return False
    for axis in range(cnp.PyArray_NDIM(array)):
        extent = wanted[axis]
        if extent is not None and extent != cnp.PyArray_DIM(array, axis):
            return False
    return True


def is_index(value, int64_t upper):
    """Whether `value` is an int64 array that a kernel can read as it lies, of values from 0 to upper - 1."""
    if not cnp.PyArray_CheckExact(value):
        return False
    cdef cnp.ndarray array = <cnp.ndarray> value
    if cnp.PyArray_TYPE(array) != cnp.NPY_INT64 or not cnp.PyArray_ISCARRAY_RO(array):
        return False
    cdef const int64_t* index = <const int64_t*> cnp.PyArray_DATA(array)
    cdef Py_ssize_t i
    cdef bint good = True
    with nogil:
        for i in range(cnp.PyArray_SIZE(array)):  # to the end: a loop that may stop early is not a vector's
            good = good and 0 <= index[i] < upper
    return good


def empty(tuple shape, cnp.dtype dtype, Py_ssize_t least):
    """An uninitialised C-contiguous array of a plain type; from the pool, at a cache line, if it has `least` bytes."""
    cdef cnp.npy_intp[32] extents
    cdef Py_ssize_t axis, size = dtype.itemsize
    cdef Block block
    if len(shape) > 32:
        raise ValueError(f"shape: got {len(shape)} axes, expected at most 32")
    for axis in range(len(shape)):
        extents[axis] = shape[axis]
        if extents[axis] > 0 and size > PY_SSIZE_T_MAX // extents[axis]:  # else the product would wrap to a small one
            raise MemoryError(f"no memory for an array of shape {shape}")
        size *= extents[axis]
    if size < least:
        return cnp.PyArray_EMPTY(<int> len(shape), extents, dtype.type_num, 0)
    block = Block(size)
    array = cnp.PyArray_SimpleNewFromData(<int> len(shape), extents, dtype.type_num, block.memory)
    cnp.set_array_base(array, block)
    return array


# ---- Whether bytes are those that were written ------------------------------------------------------------------

cdef enum:
    LANES = 8                          # words of a block
    BLOCK = 64                         # bytes of it
cdef uint64_t ODD = <uint64_t> 0x9E3779B97F4A7C15


cdef inline uint64_t stirred(uint64_t lane, uint64_t word) noexcept nogil:
    """One to one in either argument: so a word that changed alone changes all that comes after it."""
    lane = (lane ^ word) * ODD
    return lane ^ lane >> 32


cdef void stir(uint64_t* lanes, const uint8_t* start, Py_ssize_t blocks) noexcept nogil:
    cdef uint64_t[LANES] words
    cdef Py_ssize_t i
    cdef int j
    for i in range(blocks):
        memcpy(words, start + i * BLOCK, BLOCK)  # which need not be aligned
        for j in range(LANES):
            lanes[j] = stirred(lanes[j], words[j])


cdef class Checksum:
    """64 bits that tell whether bytes were damaged; they are no proof against somebody who means to deceive.

    The bytes are words of 64 bits in eight lanes, each of which takes in its words one after the other; at the end the
    lanes and the number of bytes become one. A single word that differs is always noticed, anything else but once in
    2^64. It depends on the bytes alone, not on the pieces that they come in.
    """
    cdef uint64_t[LANES] lanes
    cdef uint8_t[BLOCK] rest           # bytes that fill no block yet
    cdef Py_ssize_t filled, length

    def __cinit__(self):
        cdef int j
        for j in range(LANES):
            self.lanes[j] = stirred(ODD, <uint64_t> j)
        self.filled = self.length = 0

    def update(self, const uint8_t[::1] data):
        """Take in the next bytes."""
        cdef Py_ssize_t first = 0, size = data.shape[0]
        if size == 0:
            return
        self.length += size
        if self.filled > 0:
            first = min(BLOCK - self.filled, size)
            memcpy(self.rest + self.filled, &data[0], first)
            self.filled += first
            if self.filled < BLOCK:
                return
            stir(self.lanes, self.rest, 1)
        cdef Py_ssize_t blocks = (size - first) // BLOCK
        with nogil:
            stir(self.lanes, &data[0] + first, blocks)
        self.filled = size - first - blocks * BLOCK
        memcpy(self.rest, &data[0] + size - self.filled, self.filled)

    def value(self):
        """Of all bytes so far."""
        cdef uint64_t[LANES] lanes
        cdef uint64_t total = <uint64_t> self.length
        cdef int j
        memcpy(lanes, self.lanes, sizeof(lanes))
        if self.filled > 0:
            memset(self.rest + self.filled, 0, BLOCK - self.filled)
            stir(lanes, self.rest, 1)
        for j in range(LANES):
            total = stirred(total, lanes[j])
        return total


# ---- What the arithmetic units can do ---------------------------------------------------------------------------

cdef double _multiply_adds(Py_ssize_t count, const floating* factors) noexcept nogil:
    """`count` rounds of multiply-adds on as many accumulators as the matrix tile has, all in registers.

    A round's factor is read, so that rounds stay outermost: one accumulator at a time would wait for itself.
    """
    cdef floating acc[FD_MR][FD_NR_FLOAT]
    cdef floating factor, term = <floating> 0.1, total = 0
    cdef Py_ssize_t n
    cdef int r, j, nr = FD_NR_FLOAT if floating is float else FD_NR_DOUBLE
    for r in range(FD_MR):
        for j in range(nr):
            acc[r][j] = <floating> (r + j)
    for n in range(count):
        factor = factors[n & 1]
        for r in range(FD_MR):
            for j in range(nr):
                acc[r][j] = madd(acc[r][j], factor, term)
    for r in range(FD_MR):
        for j in range(nr):
            total = total + acc[r][j]
    return total


def multiply_adds(Py_ssize_t count, bint double_precision, int num_threads):
    """Run them on every thread; returns how many each thread did, so that a benchmark can state its peak."""
    cdef int _thread
    cdef double total = 0
    cdef double* doubles = [0.5, 0.25]
    cdef float* floats = [<float> 0.5, <float> 0.25]
    for _thread in prange(num_threads, nogil=True, num_threads=num_threads, schedule="static", chunksize=1):
        if double_precision:
            total += _multiply_adds(count, <const double*> doubles)
        else:
            total += _multiply_adds(count, <const float*> floats)
    if total != total:  # never: but the compiler must not see that, or it would drop the work
        raise FloatingPointError("multiply_adds: lost its numbers")
    return count * FD_MR * (FD_NR_DOUBLE if double_precision else FD_NR_FLOAT)


# ---- How fast memory can be read --------------------------------------------------------------------------------

cdef enum:
    READ = 4096  # words a thread takes at a time: eight pages, whose beginnings are read ahead
    WIDE = 32  # few enough for the registers of every build
    PAGE = 512  # words


cdef uint64_t read_piece(const uint64_t* words) noexcept nogil:
    """READ words combined by `or`, which is next to no work, while the next READ are asked for."""
    cdef uint64_t[WIDE] seen
    cdef Py_ssize_t i, j
    for j in range(WIDE):
        seen[j] = 0
    for i in range(READ // WIDE):
        if i * WIDE % PAGE == 0:
            fd_prefetch_page(words + READ + i * WIDE)
        for j in range(WIDE):
            seen[j] |= words[i * WIDE + j]
    for j in range(1, WIDE):
        seen[0] |= seen[j]
    return seen[0]


def read_words(const uint64_t[::1] words, int num_threads):
    """The `or` of the words (a whole number of READ), for benchmarks: the speed at which memory can be read."""
    cdef uint64_t seen = 0
    cdef Py_ssize_t piece
    for piece in prange(words.shape[0] // READ, nogil=True, num_threads=num_threads, schedule="static"):
        seen |= read_piece(&words[piece * READ])
    return seen
