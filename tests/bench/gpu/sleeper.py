"""A part of the GPU bench that says one figure and then hangs."""

from __future__ import annotations

import time

print('{"part": "peak", "name": "square"}', flush=True)
time.sleep(60)
