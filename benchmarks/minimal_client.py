"""The reference for a text turn: the least that a person would write with httpx to print a streamed reply."""

import asyncio
import json
import os
import sys

import httpx


async def main(base_url: str, wire: str) -> None:
    if wire == "responses":
        path, body = ("/responses", {"model": "m", "input": [{"role": "user", "content": "hello"}], "stream": True})
    else:
        path, body = (
            "/chat/completions",
            {"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": True},
        )
    headers = {"authorization": f"Bearer {os.environ['BENCH_KEY']}"}
    async with (
        httpx.AsyncClient(timeout=300) as client,
        client.stream("POST", base_url + path, json=body, headers=headers) as response,
    ):
        async for line in response.aiter_lines():
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            event = json.loads(line[6:])
            if wire == "responses" and event["type"] == "response.output_text.delta":
                sys.stdout.write(event["delta"])
            elif wire == "chat" and event["choices"]:
                sys.stdout.write(event["choices"][0]["delta"].get("content") or "")


asyncio.run(main(*sys.argv[1:]))
