/* Instruction sets that the engines are built for; one is chosen when an engine is made. */
#ifndef TN_VARIANT_H
#define TN_VARIANT_H

typedef enum { TN_SCALAR, TN_AVX2, TN_AVX512, TN_VARIANT_COUNT } tn_variant;

/* Whether this processor runs `variant`. Always true of TN_SCALAR. */
int tn_variant_supported(tn_variant variant);

/* The fastest variant this processor runs. */
tn_variant tn_variant_best(void);

/* "scalar", "avx2", "avx512". */
const char *tn_variant_name(tn_variant variant);

/* What a function of each variant is compiled for. */
#if defined(__x86_64__)
#define TN_HAS_X86 1
#define TN_TARGET_AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt,lzcnt")))
#define TN_TARGET_AVX512 \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx512vbmi,avx512vbmi2,gfni,avx2,bmi,bmi2," \
                          "popcnt,lzcnt,prfchw," \
                          "prefer-vector-width=512")))
#else
#define TN_HAS_X86 0
#endif

#endif
