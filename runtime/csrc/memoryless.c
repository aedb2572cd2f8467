#include "memoryless.h"

int tn_memoryless(const tn_neuron_types *types, size_t t)
{
    for (int g = 0; g < TN_AXON_TYPES; g++)
        if (types->stochastic_weights[4 * t + g])
            return 0;
    if (types->stochastic_leak[t] || types->threshold_random_bits[t] || types->initial_potential[t] ||
        types->negative_threshold[t] || (types->leak_reversal[t] && types->leak[t]))
        return 0;
    if (types->reset_mode[t] == 0) /* both kappas: to -beta = 0 or to -R = 0 */
        return types->threshold[t] <= 1 && types->reset_potential[t] == 0;
    return types->reset_mode[t] == 2 && types->threshold[t] == 0 && types->negative_saturate[t];
}
