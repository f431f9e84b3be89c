"""The first module of a process of the pool's own: ``python -m workerd_pool.program MODULE PID``.

MODULE is ``workerd_pool.template`` or ``workerd_pool.spawned``, PID the supervisor's.  The module is imported
here, where the collector is quiet already; what it consists of is never looked at again.
"""

from __future__ import annotations

import gc
import sys
from importlib import import_module

from workerd_pool.collector import loading

if __name__ == "__main__":
    with loading():
        module = import_module(sys.argv[1])
        gc.freeze()
    module.run(int(sys.argv[2]))
