"""FastAPI with Starlette's CORSMiddleware, as people configure it: server.py VARIANT.

Says its port, and ends when its standard input does."""

import os
import socket
import sys
import threading

import uvicorn
from fastapi import FastAPI, Response
from fastapi.middleware.cors import CORSMiddleware

PAGE = "http://app.example.com"
LISTED = dict(allow_origins=[PAGE], allow_credentials=True, allow_methods=["*"], allow_headers=["content-type"])
VARIANTS = {
    "good": LISTED,
    # The star of every tutorial, with credentials.
    "star": dict(LISTED, allow_origins=["*"]),
    "pattern": dict(LISTED, allow_origins=[], allow_origin_regex=r"https?://.*example\.com"),
    "no-credentials": dict(LISTED, allow_credentials=False),
    "no-headers": dict(LISTED, allow_headers=[]),
    "no-methods": dict(LISTED, allow_methods=["GET"]),
    "slash": dict(LISTED, allow_origins=[PAGE + "/"]),
    "crash": LISTED,
    "none": None,
}


def main(variant: str) -> None:
    app = FastAPI()
    if VARIANTS[variant]:
        app.add_middleware(CORSMiddleware, **VARIANTS[variant])

    @app.api_route("/items", methods=["GET", "POST", "PUT"])
    def items(response: Response) -> list:
        if variant == "crash":
            raise RuntimeError("the database is away")
        response.set_cookie("sid", "1", httponly=True, samesite="lax")
        response.headers["cache-control"] = "no-store"
        return []

    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(app, log_level="critical", lifespan="off")
    uvicorn.Server(config).run(sockets=[listener])


main(sys.argv[1])
