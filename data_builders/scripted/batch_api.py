"""The Batch API of the scripted server: files, and batches that are done after a while.

A line of a batch's input, and of its output (errors go to a file of their own, in no particular
order):

    {"custom_id": "7", "method": "POST", "url": "/v1/chat/completions",
     "body": {"model": "m", "messages": […]}}

    {"id": "batch_req_7", "custom_id": "7", "error": null,
     "response": {"status_code": 200, "request_id": "req_7",
                  "body": {"id": "chatcmpl-1f0c…", "choices": […], …}}}
"""

from __future__ import annotations

import asyncio
import json
import random

from data_builders.scripted.faults import Json, RequestHandler

BROKEN = {
    "error": {
        "message": "The server had an error.",
        "type": "server_error",
        "param": None,
        "code": None,
    }
}
EXPIRED = {
    "code": "batch_expired",
    "message": "This request could not be executed before the batch expired.",
}


class BatchStore:
    """Files and batches by their ids. Lives on the server's loop."""

    def __init__(self, handler: RequestHandler) -> None:
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, Json] = {}
        self._handler = handler
        self._tasks: set[asyncio.Task[None]] = set()

    def keep(self, data: bytes) -> Json:
        """The description of a new file."""
        file_id = f"file-{len(self.files) + 1}"
        self.files[file_id] = data
        size = {"bytes": len(data), "created_at": 0, "filename": file_id, "status": "processed"}
        return {"id": file_id, "object": "file", **size}

    def create(self, asked: Json) -> Json:
        """The new batch: failed at once where an id comes twice, otherwise in progress."""
        lines: list[Json] = [
            json.loads(line) for line in self.files[asked["input_file_id"]].splitlines()
        ]
        batch_id = f"batch_{len(self.batches) + 1}"
        total = len(lines)
        batch = {
            "id": batch_id,
            "object": "batch",
            "created_at": len(self.batches),
            "metadata": None,
            **asked,
            "status": "in_progress",
            "errors": None,
            "output_file_id": None,
            "error_file_id": None,
            "request_counts": {"total": total, "completed": 0, "failed": 0},
        }
        self.batches[batch_id] = batch
        if len({line["custom_id"] for line in lines}) < total:
            problem = {
                "code": "duplicate_custom_id",
                "message": "The custom_id is a duplicate.",
                "line": None,
            }
            batch |= {"status": "failed", "errors": {"object": "list", "data": [problem]}}
            return batch
        task = asyncio.create_task(self._work_through(batch, lines))
        # The loop itself holds tasks weakly.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return batch

    def page(self, after: str | None, limit: int) -> Json:
        """Batches, newest first, from behind `after`."""
        newest = list(reversed(self.batches.values()))
        if after:
            newest = newest[[batch["id"] for batch in newest].index(after) + 1 :]
        return {"object": "list", "data": newest[:limit], "has_more": len(newest) > limit}

    async def _work_through(self, batch: Json, lines: list[Json]) -> None:
        faults = self._handler.faults
        await asyncio.sleep(faults.batch_seconds)
        in_time = lines[: faults.batch_expires_after]
        done = [self._answer(line) for line in in_time]
        done += [_result(line, None, EXPIRED) for line in lines[len(in_time) :]]
        random.Random(faults.seed).shuffle(done)
        good = [
            line for line in done if line["response"] and line["response"]["status_code"] == 200
        ]
        bad = [line for line in done if line not in good]
        for name, part in (("output_file_id", good), ("error_file_id", bad)):
            if part:
                batch[name] = self.keep("".join(json.dumps(line) + "\n" for line in part).encode())[
                    "id"
                ]
        batch["request_counts"] |= {"completed": len(good), "failed": len(bad)}
        batch["status"] = "expired" if len(in_time) < len(lines) else "completed"

    def _answer(self, line: Json) -> Json:
        """The result of one line. Faults of a connection become errors of the server here."""
        fault, rng = self._handler.receive(line["body"])
        self._handler.record.admit(fault)
        broken = fault in ("429", "5xx", "malformed", "silent", "reset")
        body = BROKEN if broken else self._handler.answer(line["body"], fault, rng)
        response = {
            "status_code": 500 if broken else 200,
            "request_id": f"req_{line['custom_id']}",
            "body": body,
        }
        return _result(line, response, None)


def _result(line: Json, response: Json | None, error: Json | None) -> Json:
    custom_id = line["custom_id"]
    return {
        "id": f"batch_req_{custom_id}",
        "custom_id": custom_id,
        "response": response,
        "error": error,
    }
