"""Chat-model jobs: what they ask, the ledger of paid replies, and the ways to the model's server.

`jobs` is what callers write; `runner` runs jobs against a server and `estimate` counts what they
would ask; both answer through `reply_source`. `client` alone knows the `openai` package.
"""
