#!/bin/sh
# Run a command whose extensions were built with the sanitizers of FASTDL_SANITIZE by the compiler CC. Their libraries must
# be loaded before the interpreter's own. Python's own leaks are not looked for, and its small objects get memory of their
# own. The thread sanitizer learns from archer what OpenMP's barriers mean, and a report of it ends the process.
set -eu
case "$FASTDL_SANITIZE" in
thread)
	OMP_TOOL_LIBRARIES=$("$CC" -print-file-name=libarcher.so)
	[ -f "$OMP_TOOL_LIBRARIES" ] || { echo "$0: $CC has no libarcher.so, which libomp-dev brings" >&2; exit 1; }
	export OMP_TOOL_LIBRARIES
	libraries=$("$CC" -print-file-name=libclang_rt.tsan-"$(uname -m)".so)
	;;
*) libraries=$("$CC" -print-file-name=libasan.so):$("$CC" -print-file-name=libubsan.so) ;;
esac
LD_PRELOAD=$libraries PYTHONMALLOC=malloc \
	ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=8192 \
	UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
	TSAN_OPTIONS=ignore_noninstrumented_modules=1:halt_on_error=1:${TSAN_OPTIONS:-} \
	exec "$@"
