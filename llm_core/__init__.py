"""Our own inference engine: GGUF files, quantized transformers, numba kernels. No ROS inside."""
