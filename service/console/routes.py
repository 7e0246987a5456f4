"""The console: one page and its files, served from memory under a policy that runs nothing but them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

_FOLDER = Path(__file__).parent / "static"
_PAGE = "index.html"
_MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}

# The page shows other people's documents, so a hole in it must stay harmless: no inline code, no other
# origin, and (trusted types) no way to turn a string into markup at all.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Always ask: after an upgrade no page may mix old modules with new ones. The answer is a short 304.
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class Asset:
    content: bytes
    media_type: str
    etag: str
    """Quoted, as the header has it."""


def load_assets(folder: Path) -> Mapping[str, Asset]:
    """Read every file of the page, by name."""
    return {path.name: _read_asset(path) for path in sorted(folder.iterdir()) if path.suffix in _MEDIA_TYPES}


def _read_asset(path: Path) -> Asset:
    content = path.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return Asset(content=content, media_type=_MEDIA_TYPES[path.suffix], etag=etag)


def _reply(asset: Asset, if_none_match: str | None) -> Response[bytes]:
    headers = {**_HEADERS, "ETag": asset.etag}
    if _matches(asset.etag, if_none_match):
        return Response(b"", status_code=304, headers=headers, media_type=asset.media_type)
    return Response(asset.content, headers=headers, media_type=asset.media_type)


def _matches(etag: str, if_none_match: str | None) -> bool:
    """Compare weakly (RFC 9110, 13.1.2): a proxy that compressed the body marks the tag with W/."""
    if if_none_match is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in tags or "*" in tags


def make_console_routes(folder: Path = _FOLDER) -> list[HTTPRouteHandler]:
    """Return handlers for `/` and `/console/…`; the files are read once, here."""
    assets = load_assets(folder)

    @get("/", include_in_schema=False, sync_to_thread=False)
    def show_console(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _reply(assets[_PAGE], request.headers.get("if-none-match"))

    @get("/console/{name:str}", include_in_schema=False, sync_to_thread=False)
    def show_asset(name: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
        asset = assets.get(name)
        if asset is None:
            raise NotFoundException(f"The console has no file named {name}.")
        return _reply(asset, request.headers.get("if-none-match"))

    return [show_console, show_asset]


console_routes: list[HTTPRouteHandler] = make_console_routes()
