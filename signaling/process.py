"""How a process that serves pages or carries calls behaves: when Python looks for garbage, how threads share the lock.

For processes alone, not for tests: what is frozen is never collected.
"""

from __future__ import annotations

import gc
import sys
from typing import Final

YOUNG_OBJECTS: Final = 20_000  # Python's 700 come every few milliseconds, with packets or with the rows of one page
SWITCH_S: Final = 0.0005  # a recorder's thread keeps the packets of all calls waiting no longer than this


def settle() -> None:
    """Call once, when everything is loaded and nobody has been served.

    What is loaded (a quarter of a million objects) is not looked at again. Garbage in cycles comes from connections
    that end, not from packets, rows or free times: it waits for 20,000 young objects, some megabytes, and the old ones
    are looked at when they have grown by a quarter, as ever.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)
    sys.setswitchinterval(SWITCH_S)
