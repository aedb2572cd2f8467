#define _POSIX_C_SOURCE 200809L
#include "threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

enum {
    SPINS = 2000,
    STACK_BYTES = 1 << 20, /* a kernel takes 140 KiB of it; what threads get by default may be 128, as with musl */
};

static void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

void tn_barrier_wait(tn_barrier *barrier)
{
    if (barrier->count == 1)
        return;
    size_t phase = atomic_load_explicit(&barrier->phase, memory_order_acquire);
    if (atomic_fetch_add_explicit(&barrier->arrived, 1, memory_order_acq_rel) + 1 == barrier->count) {
        atomic_store_explicit(&barrier->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&barrier->phase, phase + 1, memory_order_release);
        return;
    }
    for (int spin = 0; atomic_load_explicit(&barrier->phase, memory_order_acquire) == phase; spin++) {
        if (spin < SPINS)
            pause_briefly();
        else
            sched_yield();
    }
}

/* Workers wait at the gate until all have been started, so that a failure part-way leaves nothing done. */
typedef struct {
    void (*work)(void *, size_t);
    void *argument;
    pthread_mutex_t lock;
    pthread_cond_t opened;
    int state; /* 0 closed, 1 go, -1 go home */
} gate;

typedef struct {
    gate *gate;
    size_t index;
    pthread_t thread;
} worker;

static void *enter(void *argument)
{
    worker *self = argument;
    pthread_mutex_lock(&self->gate->lock);
    while (!self->gate->state)
        pthread_cond_wait(&self->gate->opened, &self->gate->lock);
    int go = self->gate->state > 0;
    pthread_mutex_unlock(&self->gate->lock);
    if (go)
        self->gate->work(self->gate->argument, self->index);
    return NULL;
}

static int start(worker *w)
{
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes))
        return -1;
    int failed = pthread_attr_setstacksize(&attributes, STACK_BYTES) ||
                 pthread_create(&w->thread, &attributes, enter, w);
    pthread_attr_destroy(&attributes);
    return failed;
}

tn_error tn_threads_run(size_t count, void (*work)(void *argument, size_t thread), void *argument)
{
    if (count <= 1) {
        work(argument, 0);
        return TN_OK;
    }
    worker *workers = calloc(count - 1, sizeof *workers);
    if (!workers)
        return TN_ERROR_MEMORY;
    gate g = {work, argument, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    size_t started = 0;
    for (; started < count - 1; started++) {
        workers[started] = (worker){&g, started + 1, 0};
        if (start(&workers[started]))
            break;
    }
    int all = started == count - 1;
    pthread_mutex_lock(&g.lock);
    g.state = all ? 1 : -1;
    pthread_cond_broadcast(&g.opened);
    pthread_mutex_unlock(&g.lock);
    if (all)
        work(argument, 0);
    for (size_t i = 0; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    pthread_cond_destroy(&g.opened);
    pthread_mutex_destroy(&g.lock);
    free(workers);
    return all ? TN_OK : TN_ERROR_THREAD;
}
