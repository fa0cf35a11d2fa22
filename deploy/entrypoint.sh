#!/bin/sh
# The image's root is read-only and numba wants to write beside what it reads, so the kernels that
# were compiled with the image are copied to where this user may write. On another kind of
# processor than the image was built on they are compiled anew, there, which takes minutes.
set -eu
compiled=${BRAID_COMPILED:-/opt/braid/kernels}
NUMBA_CACHE_DIR=${NUMBA_CACHE_DIR:-/tmp/braid-kernels}
export NUMBA_CACHE_DIR
unset BRAID_COMPILED
if [ ! -e "$NUMBA_CACHE_DIR" ]; then
    cp -R "$compiled" "$NUMBA_CACHE_DIR.$$"  # half a copy is never taken for a whole one
    mv "$NUMBA_CACHE_DIR.$$" "$NUMBA_CACHE_DIR"
fi
exec braid "$@"
