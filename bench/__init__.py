"""The benches.

One that runs an engine in its own process keeps its telemetry off, as Stemma does for its children.
"""

import os

QUIET = {
    "AXOLOTL_DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "WANDB_MODE": "disabled",
}
os.environ.update(QUIET)  # here, because the engines read them when they are imported
