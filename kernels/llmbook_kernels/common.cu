// What the caller needs besides the kernels.
#include "device.h"

#if defined(__CUDACC__)
API const char* llmbook_error(int64_t code) { return cudaGetErrorString(static_cast<cudaError_t>(code)); }
API int llmbook_device(int64_t number) { return cudaSetDevice(static_cast<int>(number)); }
#else
API const char* llmbook_error(int64_t) { return emu::engine().error; }
API int llmbook_schedule(int64_t number) { emu::engine().schedule = number; return 0; }
#endif
