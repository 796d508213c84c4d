"""Templates, the files that pages load, and the headers that keep anything else from being loaded or run."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from fastapi import Request
from starlette.responses import HTMLResponse, Response

from foresight_api.pages import wording

FOLDER = Path(__file__).resolve().parent
YEAR = 365 * 86400

# Two inline styles that Plotly makes when it is loaded: an empty one, which it fills by rules of its own (no policy
# forbids a script that), and one of maps, which the browser would report as refused.
OF_PLOTLY = (
    "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    "sha256-ji27qzEtxXZW+7dun6UwjHXJ18e6WAin1VvNtkzIE/o=",
)

# No script and no style but those of files that we serve; no frame but of the same origin, which Airflow's UI is.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        f"style-src 'self' {' '.join(repr(one) for one in OF_PLOTLY)}",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

MEDIA_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


@cache
def files() -> dict[str, Path]:
    """What pages load, by name. Plotly's own file is that of the package, found without importing it."""
    plotly = importlib.util.find_spec("plotly")
    if plotly is None or plotly.origin is None:
        raise RuntimeError("the package plotly is missing: requirements.lock names it")
    return {
        "pages.css": FOLDER / "static" / "pages.css",
        "theme.js": FOLDER / "static" / "theme.js",
        "table.js": FOLDER / "static" / "table.js",
        "charts.js": FOLDER / "static" / "charts.js",
        "plotly.min.js": Path(plotly.origin).parent / "package_data" / "plotly.min.js",
    }


@cache
def packed(name: str) -> tuple[bytes, str]:
    """A file as it is sent, compressed, and what it is known by: a new one has another address."""
    content = files()[name].read_bytes()
    return gzip.compress(content, 6), hashlib.sha256(content).hexdigest()[:12]


def static(request: Request, name: str) -> Response:
    content, digest = packed(name)
    headers = {
        "Cache-Control": f"private, max-age={YEAR}, immutable",
        "Vary": "Accept-Encoding",
        "ETag": f'"{digest}"',
        "X-Content-Type-Options": "nosniff",
    }
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
    else:
        content = gzip.decompress(content)
    return Response(content, media_type=MEDIA_TYPES[Path(name).suffix], headers=headers)


@cache
def environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["w"] = wording
    made.filters["moment"] = wording.moment
    made.filters["number"] = wording.number
    return made


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A whole page. `base` in a template is where the pages begin, behind whatever Airflow stands."""
    base = f"{request.scope.get('root_path', '').rstrip('/')}/pages"

    def address(name: str) -> str:
        return f"{base}/static/{name}?{packed(name)[1]}"

    text = environment().get_template(template).render(base=base, static=address, **values)
    return HTMLResponse(text, status, headers=HEADERS | {"Cache-Control": "no-store"})


def problem_page(request: Request, status: int, title: str, detail: str) -> HTMLResponse:
    """What a person sees where a program gets a problem document."""
    answer = page(request, "problem.html", status, title=title, detail=detail)
    if status == 503:
        answer.headers["Retry-After"] = "1"
    return answer
