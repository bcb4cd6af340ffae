"""Every public function of the topics again, in plain NumPy: slow, obvious, the yardstick of the kernels.

Same names, same signatures, same results. Nothing here imports the rest of fastdl, and nothing is clever.
"""
