# Included by llama.cpp's own CMake project: the Python API needs none of the helpers of its command-line tools.
set(LLAMA_BUILD_COMMON OFF)
