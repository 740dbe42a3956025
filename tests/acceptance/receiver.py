"""Somebody on this machine who is told: the other end of alerts and heartbeat."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web


@dataclass
class Receiver:
    """Takes what is posted and asked for; refuses posts while `status` says so."""

    port: int = 0
    status: int = 200
    posts: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    """Where each of `posts` was sent."""
    tried: int = 0
    beats: list[str] = field(default_factory=list)

    def target(self, directory: Path, name: str, port: int = 0) -> str:
        """Make the credential of a target that posts here under this name (or to another port); give its reference."""
        path = directory / f"robot-{name}"
        path.write_text(f"json://127.0.0.1:{port or self.port}/{name}/")
        path.chmod(0o600)
        return f"file:{path}"

    def told(self, name: str) -> Sequence[str]:
        """Give what was told under this name, titles first."""
        posts = zip(self.paths, self.posts, strict=True)
        return [f"{post['title']}\n{post['message']}" for path, post in posts if path == f"/{name}/"]

    async def post(self, request: web.Request) -> web.Response:
        """Take a message, or refuse it."""
        self.tried += 1
        if self.status == 200:
            self.posts.append(json.loads(await request.read()))
            self.paths.append(request.path)
        return web.Response(status=self.status)

    async def beat(self, request: web.Request) -> web.Response:
        """Take a heartbeat."""
        self.beats.append(request.path)
        return web.Response(text="OK")


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Listen on a free port, for alerts (`json://`) and a heartbeat."""
    made = Receiver()
    application = web.Application()
    application.router.add_post("/{path:.*}", made.post)
    application.router.add_get("/{path:.*}", made.beat)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    try:
        yield made
    finally:
        await runner.cleanup()
