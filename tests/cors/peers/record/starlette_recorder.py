"""Starlette's side of record.py: the middleware in an application of one route, called without a server."""

import asyncio
import json
import sys

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.routing import Route


class Handler:
    def __init__(self, answer):
        self.answer = answer
        self.reached = False

    async def __call__(self, scope, receive, send):
        self.reached = True
        if self.answer["fails"]:
            raise RuntimeError("the handler fails")
        response = Response(status_code=self.answer["status"])
        for line in self.answer["headers"]:
            name, value = line.split(": ", 1)
            response.headers.append(name, value)
        await response(scope, receive, send)


async def ask(case):
    handler = Handler(case["handler"])
    try:
        middleware = [Middleware(CORSMiddleware, **case["options"])]
        app = Starlette(routes=[Route("/", handler)], middleware=middleware)
        app.build_middleware_stack()
    except Exception as error:
        return {"refused": str(error)}
    lines = [line.split(":", 1) for line in case["request"]]
    scope = {
        "type": "http", "method": case["method"], "path": "/", "raw_path": b"/", "query_string": b"",
        "root_path": "", "scheme": "http", "http_version": "1.1", "server": ("x", 80), "client": ("y", 1),
        "headers": [(name.lower().encode(), value.strip().encode()) for name, value in lines],
    }
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    try:
        await app(scope, receive, send)
    except RuntimeError:
        pass  # Starlette raises again what it has answered.
    start = next(message for message in sent if message["type"] == "http.response.start")
    headers = [f"{name.decode().lower()}: {value.decode()}" for name, value in start["headers"]]
    about_cors = [line for line in headers if line.startswith(("vary:", "access-control-"))]
    return {"status": start["status"], "handler": handler.reached, "headers": about_cors}


async def main():
    print(json.dumps([await ask(case) for case in json.load(sys.stdin)]))


asyncio.run(main())
