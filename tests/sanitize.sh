#!/usr/bin/env bash
# Builds the package with the address and undefined-behaviour sanitizers, apart from the checkout's own build, and runs
# the tests that exercise the C code against it. PYTHON names the interpreter; arguments replace the tests to run.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
cc=${CC:-gcc}
base=build/sanitize
flags="-fsanitize=address,undefined -fno-sanitize-recover=all"
# the batch kernels are unrolled: tracking their variables for a debugger takes minutes
# -fno-wrapv: Python's own flags would define signed overflow and so hide it
CFLAGS="-g -fno-omit-frame-pointer -fno-wrapv -fno-var-tracking $flags" LDFLAGS="$flags" \
    "$python" setup.py -q build --build-base "$base" --build-lib "$base/lib" build_ext --force
preload="$("$cc" -print-file-name=libasan.so):$("$cc" -print-file-name=libubsan.so):$("$cc" -print-file-name=libstdc++.so.6)"
if [ $# -eq 0 ]; then set -- tests/runtime; fi
# Python itself leaves memory behind at exit, so leaks are not looked for
export ASAN_OPTIONS=detect_leaks=0:halt_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export PYTHONPATH="$PWD/$base/lib:$PWD" TNCC_EXAMPLES=8
LD_PRELOAD="$preload" "$python" -P -c 'import tncc.runtime._native as n; assert "sanitize" in n.__file__, n.__file__'
LD_PRELOAD="$preload" "$python" -P -m pytest -p no:cacheprovider "$@"
