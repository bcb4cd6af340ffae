#!/bin/sh
# Run a command whose extensions were built with a sanitizer of gcc, which must be loaded before the interpreter's own
# libraries. Python's own leaks are not looked for, and its small objects get memory of their own.
libraries=$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libubsan.so)
case "${SANITIZER:-address}" in thread*) libraries=$(gcc -print-file-name=libtsan.so) ;; esac
LD_PRELOAD=$libraries PYTHONMALLOC=malloc \
	ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=8192 \
	UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 TSAN_OPTIONS=halt_on_error=0:report_signal_unsafe=0 \
	exec "$@"
