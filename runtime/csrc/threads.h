/* Threads for the length of one call: nothing lives on between calls, so a fork is harmless. */
#ifndef TN_THREADS_H
#define TN_THREADS_H

#include <stdatomic.h>
#include <stddef.h>

#include "tn_error.h"

/* Where `count` threads wait for each other; zero-initialise and set count. */
typedef struct {
    size_t count;
    atomic_size_t arrived, phase;
} tn_barrier;

/* Returns when all threads have called it. Everything written before by any thread is visible after. */
void tn_barrier_wait(tn_barrier *barrier);

/* Calls work(argument, i) for i in 0..count - 1, each on its own thread (0 on the caller's; the others have 1 MiB of
 * stack), and waits for all.
 * TN_ERROR_THREAD where a thread cannot be started: then no work has been done. */
tn_error tn_threads_run(size_t count, void (*work)(void *argument, size_t thread), void *argument);

#endif
