"""The same bodies as in bodies_app, from a WSGI application in gunicorn.

    python bodies_wsgi.py    prints where it listens
"""

from typing import Any

from bodies_app import channels, messages, state
from flask import Flask, Response
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from remote_data_loader_backend import body

app = Flask(__name__)


@app.get("/state")
def tell() -> dict[str, int]:
    return state


@app.get("/body/<how>")
def data(how: str) -> Response:
    return Response(body(channels, messages(how), compression="none"), mimetype="application/octet-stream")


class Server(BaseApplication):  # type: ignore[misc]
    """gunicorn with one process, which knows what became of the bodies."""

    def load_config(self) -> None:
        self.cfg.set("bind", "127.0.0.1:0")
        self.cfg.set("threads", 4)
        self.cfg.set("loglevel", "critical")
        self.cfg.set("when_ready", lambda server: print(f"listening on {server.LISTENERS[0]}", flush=True))

    def load(self) -> Any:
        return app


if __name__ == "__main__":
    Server().run()
