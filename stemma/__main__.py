"""`python -m stemma`: the same as the console script `stemma`."""

import sys

try:
    from stemma.cli import main

    code = main()
except KeyboardInterrupt:  # Ctrl-C while it is still being loaded: nothing has begun
    sys.stderr.write("interrupted; the same command goes on with what is kept\n")
    code = 130
sys.exit(code)
