/* The batch engine's kernels in portable C. */
#include "batch_internal.h"

#define TN_FN
#define TN_KERNELS tn_batch_scalar

typedef uint64_t tn_v128 __attribute__((vector_size(16), may_alias));
#define TN_V tn_v128
#define TN_LANES 1
#define TN_SPLAT(word) ((tn_v128){(word), (word)})
#define TN_LAST_AND(a, b) __builtin_shuffle(a, b, (tn_v128){1, 2})
#define TN_STREAM(to, value) (*(to) = (value))
#define TN_STREAMED() (void)0

#include "batch_portable.h"

#include "batch_kernel.h"
