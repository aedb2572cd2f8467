/* Which neurons' output at a tick depends on that tick's input alone. runtime/memoryless.py derives the rule. */
#ifndef TN_MEMORYLESS_H
#define TN_MEMORYLESS_H

#include "chip.h"

/* 1 where neuron type `t` is memoryless: its potential is 0 before and after every tick. */
int tn_memoryless(const tn_neuron_types *types, size_t t);

#endif
