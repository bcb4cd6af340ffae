"""The avx512 build of the kernels."""
