"""``python -m workerd`` is ``workerd``."""

import sys

from workerd.cli import main

if __name__ == "__main__":
    sys.exit(main())
