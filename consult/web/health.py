"""For load balancers: /healthz says that the process answers, /readyz that it can do its work."""

from __future__ import annotations

import asyncio

import asyncpg
from aiohttp import web

from consult.db.schema import is_current
from consult.keys import HUB, POOL

routes = web.RouteTableDef()


@routes.get("/healthz")
async def show_health(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


@routes.get("/readyz")
async def show_readiness(request: web.Request) -> web.Response:
    if HUB in request.app and request.app[HUB].draining:
        return web.json_response({"status": "draining"}, status=503)
    try:
        async with asyncio.timeout(3), request.app[POOL].acquire() as conn:
            current = await is_current(conn)
    except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return web.json_response({"status": "no database"}, status=503)
    if not current:
        return web.json_response({"status": "migrations missing"}, status=503)
    return web.json_response({"status": "ok"})
