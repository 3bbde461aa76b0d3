"""``python -m gan``; see `gan.cli`."""

import sys

from gan.cli import main

if __name__ == "__main__":
    sys.exit(main())
