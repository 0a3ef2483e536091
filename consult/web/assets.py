"""Static files: addresses that change with their content, long caching, compressed once.

`asset("js/room.js")` gives /static/<fingerprint>/js/room.js. The fingerprint is of the whole folder, so that an ES
module which imports "./words.js" gets the file of the same moment, and every file may be cached for ever.
"""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

import brotli
from aiohttp import web

TYPES = {
    ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".json": "application/json",
    ".wasm": "application/wasm",
    ".txt": "text/plain; charset=utf-8", ".woff2": "font/woff2", ".wav": "audio/wav",
}  # fmt: skip
COMPRESSED = {".js", ".mjs", ".css", ".svg", ".json", ".wasm", ".txt"}
LARGEST_KEPT_BYTES = 4 * 1024 * 1024
FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _Kept:
    """A file in memory as it goes out. changed_ns: of the file on disk when it was read."""

    changed_ns: int
    plain: bytes
    brotli: bytes | None
    etag: str


class Assets:
    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._kept: dict[str, _Kept] = {}
        self.fingerprint = self._take_fingerprint()

    def url(self, path: str) -> str:
        return f"/static/{self.fingerprint}/{path}"

    def _take_fingerprint(self) -> str:
        """A hash over names, sizes and contents; vendor files count by their manifest alone."""
        digest = hashlib.sha256()
        for path in sorted(self._root.rglob("*")):
            name = path.relative_to(self._root).as_posix()
            if not path.is_file() or (name.startswith("vendor/") and name != "vendor/manifest.json"):
                continue
            digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:12]

    def find(self, name: str) -> Path | None:
        """Return the file of that name, None for everything that is not a plain file inside the folder."""
        if "\0" in name or "\\" in name or any(part in ("", ".", "..") for part in name.split("/")):
            return None
        path = (self._root / name).resolve()
        return path if path.is_relative_to(self._root) and path.is_file() else None

    async def keep(self, name: str, path: Path) -> _Kept:
        kept = self._kept.get(name)
        if kept is None or kept.changed_ns != path.stat().st_mtime_ns:
            kept = self._kept[name] = await asyncio.to_thread(_read, path)
        return kept


def _read(path: Path) -> _Kept:
    plain = path.read_bytes()
    small = brotli.compress(plain, quality=9) if path.suffix in COMPRESSED and len(plain) > 500 else None
    return _Kept(path.stat().st_mtime_ns, plain, small, f'"{hashlib.sha256(plain).hexdigest()[:20]}"')


ASSETS: web.AppKey[Assets] = web.AppKey("assets", Assets)
routes = web.RouteTableDef()


@routes.get("/static/{path:.+}", name="static")
async def show_static(request: web.Request) -> web.StreamResponse:
    assets = request.app[ASSETS]
    first, _, rest = request.match_info["path"].partition("/")
    current = first == assets.fingerprint
    # A page from before an update still asks for the old fingerprint: it gets today's file, uncached.
    name = (
        rest if current or (len(first) == 12 and not (assets.find(request.match_info["path"]))) else f"{first}/{rest}"
    )
    path = assets.find(name)
    if path is None:
        raise web.HTTPNotFound
    content_type = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    headers = {"Content-Type": content_type, "Cache-Control": FOREVER if current else "no-cache"}
    if path.stat().st_size > LARGEST_KEPT_BYTES:
        return web.FileResponse(path, headers=headers)
    kept = await assets.keep(name, path)
    headers |= {"ETag": kept.etag, "Vary": "Accept-Encoding"}
    if request.headers.get("If-None-Match") == kept.etag:
        return web.Response(status=304, headers=headers)
    if kept.brotli is not None and "br" in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=kept.brotli, headers=headers | {"Content-Encoding": "br"})
    return web.Response(body=kept.plain, headers=headers)
