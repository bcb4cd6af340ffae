"""What a kernel may ask of its build and its team: see _build.h."""
from libc.stdint cimport int64_t, uint64_t


cdef extern from "_build.h" nogil:
    const char* FD_LEVEL
    const int FD_OPENMP
    enum:
        FD_BARRIER_WORDS
    int fd_team_size()
    int fd_max_threads()
    int fd_pause_workers()
    int fd_has_avx2()
    int fd_has_avx512()
    uint64_t fd_flush_subnormals()
    void fd_restore_subnormals(uint64_t mode)
    void fd_barrier(int64_t* state, int64_t members)
