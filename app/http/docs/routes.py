"""`/docs`: Swagger UI from our own files. Nothing is loaded from elsewhere, and the browser is told to refuse it."""

import hashlib
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, HTMLResponse

from app.http.errors import NotFound

_HERE = Path(__file__).parent
_FILES = {
    "docs.js": (_HERE / "docs.js", "text/javascript"),
    "swagger-ui-bundle.js": (_HERE / "vendor/swagger-ui-bundle.js", "text/javascript"),
    "swagger-ui.css": (_HERE / "vendor/swagger-ui.css", "text/css"),
    "favicon-32x32.png": (_HERE / "vendor/favicon-32x32.png", "image/png"),
}
# Of our file and the vendored sums: a file at an address with it never changes, and may be kept for good.
VERSION = hashlib.sha256((_HERE / "docs.js").read_bytes() + (_HERE / "vendor/SHA256SUMS").read_bytes()).hexdigest()[:16]
# Addresses are relative to the page: it works under any path that a proxy puts before it.
PAGE = (_HERE / "docs.html").read_text(encoding="utf-8").replace("{version}", VERSION)
PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
FILE_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs() -> HTMLResponse:
    """The page that shows the OpenAPI document."""
    return HTMLResponse(PAGE, headers=PAGE_HEADERS)


@router.get("/docs/{version}/{name}")
async def file(version: str, name: str) -> FileResponse:
    """A file of that page."""
    if version != VERSION or name not in _FILES:
        raise NotFound
    path, media_type = _FILES[name]
    return FileResponse(path, headers=FILE_HEADERS, media_type=media_type)
