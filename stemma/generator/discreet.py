"""An HTTP client whose replies hold no credential: a server may say back what it was sent.

Whatever reads a reply (the ledger, samples, manifests, errors, logs) has it from here.
"""

from __future__ import annotations

import logging
from typing import Any

import httpx2

from stemma.credentials import Credentials

PACKING = {"content-encoding", "content-length", "transfer-encoding"}


class DiscreetClient(httpx2.AsyncClient):
    """An HTTP client that takes the credentials in use out of every reply before it is read."""

    def __init__(self, credentials: Credentials, **settings: Any) -> None:
        super().__init__(**settings)
        self._credentials = credentials
        for name in ("httpx2", "httpcore2"):  # they log replies as they come
            logging.getLogger(name).setLevel(logging.WARNING)

    async def send(self, request: httpx2.Request, **settings: Any) -> httpx2.Response:
        came = await super().send(request, **settings)
        try:
            body = self._credentials.out_of_body(await came.aread())
        finally:
            await came.aclose()
        taken_out = self._credentials.taken_out
        headers = came.headers.multi_items()
        # The body is unpacked by now.
        headers = [one for one in headers if one[0] not in PACKING]
        said = "\n".join(map("\n".join, headers))
        if taken_out(said) != said:
            headers = [(taken_out(name), taken_out(value)) for name, value in headers]
        return httpx2.Response(
            came.status_code,
            headers=headers,
            content=body,
            request=request,
            extensions=came.extensions
            | {"reason_phrase": taken_out(came.reason_phrase).encode("ascii", "replace")},
        )
