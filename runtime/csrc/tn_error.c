#include "tn_error.h"

const char *tn_error_text(tn_error error)
{
    static const char *const texts[] = {
#define X(code, text) text,
        TN_ERRORS(X)
#undef X
    };
    return (unsigned)error < TN_ERROR_COUNT ? texts[error] : "unknown error";
}
