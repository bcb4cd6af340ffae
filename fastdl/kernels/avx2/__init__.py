"""The avx2 build of the kernels."""
