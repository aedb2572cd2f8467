/* The batch engine's kernels in portable C. */
#include "batch_internal.h"
#include "bits.h"

#define TN_FN
#define TN_KERNELS tn_batch_scalar

typedef uint64_t tn_v128 __attribute__((vector_size(16), may_alias));
#define TN_V tn_v128
#define TN_LANES 1
#define TN_SPLAT(word) ((tn_v128){(word), (word)})
#define TN_SUM3(a, b, c) ((a) ^ (b) ^ (c))
#define TN_MAJORITY3(a, b, c) (((a) & (b)) | (((a) ^ (b)) & (c)))
#define pack_bits tn_pack_bits
#define expand_bits tn_expand_bits

#include "batch_kernel.h"
