#include "variant.h"

int tn_variant_supported(tn_variant variant)
{
    if (variant == TN_SCALAR)
        return 1;
#if TN_HAS_X86
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
               __builtin_cpu_supports("popcnt");
    if (variant == TN_AVX2)
        return avx2;
    if (variant == TN_AVX512)
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512vbmi") &&
               __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("gfni");
#endif
    return 0;
}

tn_variant tn_variant_best(void)
{
    for (int v = TN_VARIANT_COUNT - 1; v > TN_SCALAR; v--)
        if (tn_variant_supported((tn_variant)v))
            return (tn_variant)v;
    return TN_SCALAR;
}

const char *tn_variant_name(tn_variant variant)
{
    static const char *const names[] = {"scalar", "avx2", "avx512"};
    return names[variant];
}
