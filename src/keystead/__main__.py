"""``python -m keystead``: the same as the ``keystead`` command."""

import sys

from keystead.cli import main

if __name__ == "__main__":
    sys.exit(main())
