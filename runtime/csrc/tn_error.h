/* Error codes of every C unit. A function that can fail returns one; TN_OK is 0. */
#ifndef TN_ERROR_H
#define TN_ERROR_H

#define TN_ERRORS(X) \
    X(TN_OK, "no error") \
    X(TN_ERROR_MEMORY, "out of memory") \
    X(TN_ERROR_THREAD, "a thread could not be started") \
    X(TN_ERROR_CHIP, "the chip's arrays hold an index or a value out of range") \
    X(TN_ERROR_EVENT, "an input event is out of range or not sorted by tick") \
    X(TN_ERROR_PROBE, "a probe is out of range or not sorted by core") \
    X(TN_ERROR_STATEFUL, "the batch engine was given a neuron that is not memoryless") \
    X(TN_ERROR_CYCLE, "the batch engine was given cores that form a loop") \
    X(TN_ERROR_VARIANT, "this processor lacks the instruction set asked for")

typedef enum {
#define X(code, text) code,
    TN_ERRORS(X)
#undef X
    TN_ERROR_COUNT
} tn_error;

/* A static English text for `error`; never NULL. */
const char *tn_error_text(tn_error error);

#endif
