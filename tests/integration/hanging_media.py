"""`python -m tests.integration.hanging_media`: the real `consult media`, whose loop stands still after GET /hang."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from consult.__main__ import main
from signaling import endpoint

HANGS_S = 60
create_media_app = endpoint.create_media_app


def create_app_that_hangs(**given: Any) -> web.Application:
    async def hang(request: web.Request) -> web.Response:
        time.sleep(HANGS_S)
        return web.Response()

    app = create_media_app(**given)
    app.router.add_get("/hang", hang)
    return app


if __name__ == "__main__":
    endpoint.create_media_app = create_app_that_hangs
    raise SystemExit(main(["media"]))
