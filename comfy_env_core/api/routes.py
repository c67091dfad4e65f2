"""The routes under `/comfy-env`. The route table is passed in, so that they can be tested without a server."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from comfy_env_core.manager import Manager


def add_routes(routes: web.RouteTableDef, manager: Manager) -> None:
    """Adds the routes to `routes`; ComfyUI mounts each of them below `/api` as well."""

    @routes.get("/comfy-env/status")
    async def status(request: web.Request) -> web.Response:
        """What `Manager.status` says. Changes nothing. Measuring the workers' memory takes milliseconds each."""
        return web.json_response(await asyncio.to_thread(manager.status), dumps=_dumps)


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
