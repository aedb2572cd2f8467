/* The batch engine's kernels for AVX2. */
#include "batch_internal.h"
#include "bits.h"

#if TN_HAS_X86
#define TN_FN TN_TARGET_AVX2
#define TN_KERNELS tn_batch_avx2

typedef uint64_t tn_v256 __attribute__((vector_size(32), may_alias));
#define TN_V tn_v256
#define TN_LANES 1
#define TN_SPLAT(word) ((tn_v256){(word), (word), (word), (word)})
#define TN_SUM3(a, b, c) ((a) ^ (b) ^ (c))
#define TN_MAJORITY3(a, b, c) (((a) & (b)) | (((a) ^ (b)) & (c)))
#define pack_bits tn_pack_bits
#define expand_bits tn_expand_bits

#include "batch_kernel.h"
#endif
