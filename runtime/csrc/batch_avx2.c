/* The batch engine's kernels for AVX2. */
#include "batch_internal.h"

#if TN_HAS_X86
#include <immintrin.h>

#define TN_FN TN_TARGET_AVX2
#define TN_KERNELS tn_batch_avx2

typedef uint64_t tn_v256 __attribute__((vector_size(32), may_alias));
#define TN_V tn_v256
#define TN_LANES 2
#define TN_SPLAT(word) ((tn_v256){(word), (word), (word), (word)})
#define TN_LAST_AND(a, b) __builtin_shuffle(a, b, (tn_v256){3, 4, 5, 6})
#define TN_STREAM(to, value) _mm256_stream_si256((__m256i *)(to), (__m256i)(value))
#define TN_STREAMED() _mm_sfence()

#include "batch_portable.h"

#include "batch_kernel.h"
#endif
