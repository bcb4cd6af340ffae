"""The machine and the OpenMP runtime, as the compiled code sees them."""
from ._build cimport FD_LEVEL, FD_OPENMP, fd_has_avx2, fd_has_avx512, fd_max_threads, fd_pause_workers

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
