"""Memory of the host between steps."""

from __future__ import annotations

import ctypes
import functools
import os

#: Of what one step has freed, this much stays with the process for the next one.
KEPT = 1 << 29
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names in malloc.h
_LARGEST = 1 << 25  # the C library takes no more for the second
_OF_THE_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


@functools.cache
def keep_memory() -> bool:
    """Let the C library keep what a step frees, once for the process; gives whether it does.

    glibc hands large blocks back to the system and asks for them again at the next step, page by page: a
    ResNet-8 takes thousands of page faults a step. Who has set one of malloc's variables is obeyed; other C
    libraries and allocators are left alone.
    """
    if any(name in os.environ for name in _OF_THE_USER):
        return False
    try:
        if not (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc"):
            return False
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, ValueError):  # another system, or another C library
        return False
    return bool(mallopt(_TRIM_THRESHOLD, KEPT) and mallopt(_MMAP_THRESHOLD, _LARGEST))
