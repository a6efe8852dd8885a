"""Clients of Triton, in a process and an environment of their own: orders on stdin, what was heard on stdout."""

import asyncio
import json
import sys
import time

import numpy as np
import tritonclient.grpc.aio as triton

RAMP_S = 0.4


async def feed_on(client, key, requests, heard, window):
    """One sequence, one subword after the other."""
    given = triton.InferInput("tokens", [1, 1], "INT64")
    started = False
    while True:
        for ids in requests:
            for token in ids:
                ends = window["over"]
                given.set_data_from_numpy(np.array([[token]], np.int64))
                asked = time.perf_counter()
                answer = await client.infer(
                    "steps", [given], sequence_id=key, sequence_start=not started, sequence_end=ends
                )
                answer.as_numpy("log_probs")
                started = True
                if window["open"]:
                    heard.append(time.perf_counter() - asked)
                if ends:  # gives back its slot
                    return


async def main(port, number, seconds, requests):
    heard, window = [], {"open": False, "over": False}
    async with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
        base = time.time_ns() // 1000
        tasks = [
            asyncio.create_task(feed_on(client, base + at, requests[at % len(requests) :], heard, window))
            for at in range(number)
        ]
        await asyncio.wait(tasks, timeout=RAMP_S, return_when=asyncio.FIRST_EXCEPTION)
        began, window["open"] = time.perf_counter(), True
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        took = time.perf_counter() - began
        window.update(open=False, over=True)
        await asyncio.gather(*tasks)
    heard.sort()
    found = {"steps_per_s": len(heard) / took}
    found |= {"p50_ms": 1e3 * heard[len(heard) // 2], "p99_ms": 1e3 * heard[int(len(heard) * 0.99)]}
    print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main(**json.load(sys.stdin)))
