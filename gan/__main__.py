"""``python -m gan``: the command line."""

import os
import sys

from gan.cli.main import main

if __name__ == "__main__":
    code = main()
    if sys.argv[1:2] == ["work"]:
        # all is written: a worker that takes torch down in good order is gone a second later
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
