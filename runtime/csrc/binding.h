/* What every Python-facing unit shares: buffers that are checked before C sees them, and the chip's arrays.
 *
 * A unit offers its functions by `int tn_NAME_register(PyObject *module)`, called once by module.c; 0 or -1 with a
 * Python exception set. */
#ifndef TN_BINDING_H
#define TN_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "chip.h"
#include "spikes.h"

int tn_engine_register(PyObject *module);
int tn_tick_register(PyObject *module);
int tn_batch_register(PyObject *module);

/* Kinds of elements. */
typedef enum { TN_U8, TN_U16, TN_I16, TN_I32, TN_U32, TN_I64, TN_BOOL } tn_kind;

enum { TN_MAX_BUFFERS = 40 };

/* Buffers held by one call; zero-initialise, release on every way out. */
typedef struct {
    int count;
    Py_buffer views[TN_MAX_BUFFERS];
} tn_buffers;

void tn_buffers_release(tn_buffers *buffers);

/* The memory of `object`, which must be C-contiguous, aligned, of the given kind and hold exactly `count` elements,
 * and be writable where asked. NULL with TypeError, ValueError or BufferError set, naming `name`; never NULL otherwise,
 * even for no elements. */
void *tn_buffers_add(tn_buffers *buffers, PyObject *object, const char *name, tn_kind kind, size_t count, int writable);

/* The memory of `object` as tn_buffers_add, read-only, its element count in *count. */
const void *tn_buffers_add_any(tn_buffers *buffers, PyObject *object, const char *name, tn_kind kind, size_t *count);

/* Fills *chip from a runtime.config.ChipConfig and int32 [N, M] hops, the arrays held by `buffers`, and checks it.
 * 0, or -1 with an exception set. */
int tn_chip_from_config(tn_chip *chip, tn_buffers *buffers, PyObject *config, PyObject *hops);

/* a * b, or SIZE_MAX where that does not fit: no buffer has so many elements. */
size_t tn_times(size_t a, size_t b);

/* The spikes that an engine's threads recorded: how many, and copied to int64, int32, int32 arrays of that length. */
typedef const tn_spike_list *tn_list_of(const void *engine, size_t thread);
size_t tn_count_recorded(const void *engine, size_t threads, tn_list_of *list_of);
PyObject *tn_copy_recorded(const void *engine, size_t threads, tn_list_of *list_of, PyObject *tick, PyObject *core,
                           PyObject *neuron);

/* The exception for an error code: MemoryError, ValueError or RuntimeError. Returns NULL. */
PyObject *tn_raise(tn_error error);

#endif
