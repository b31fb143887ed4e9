"""`python -m stemma`: the same as the console script `stemma`."""

import sys

from stemma.cli import main

sys.exit(main())
