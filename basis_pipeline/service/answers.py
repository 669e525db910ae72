"""JSON answers: without paths of this machine, with an ETag, and 304 where nothing has changed."""

import os
import tempfile
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from basis_pipeline.settings import Settings, config_directory, project_root

OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z


def rendered(settings: Settings, content: Any) -> bytes:
    """Return a value as JSON, with names instead of this machine's directories."""
    return without_paths(settings, orjson.dumps(content, default=str, option=OPTIONS))


def without_paths(settings: Settings, body: bytes) -> bytes:
    """Replace the paths of this machine's directories by their names."""
    home = os.environ.get("DAGSTER_HOME", "")
    for place, name in _places(settings, home):
        body = body.replace(place, name)
    return body


@lru_cache(maxsize=4)
def _places(settings: Settings, home: str) -> tuple[tuple[bytes, bytes], ...]:
    """List the directories, the longest first, each with the name that replaces it."""
    named = {
        settings.results_dir: "results",
        settings.data_dir: "data",
        config_directory(): "configs",
        project_root(): "project",
        Path(home): "dagster_home",
        Path.home(): "home",
        Path(tempfile.gettempdir()): "tmp",
    }
    found = {os.fsencode(path): b"<%s>" % name.encode() for path, name in named.items()}
    return tuple(sorted(((p, n) for p, n in found.items() if len(p) > 1), key=lambda e: -len(e[0])))


def answer(request: Request, content: Any, status: int = 200) -> Response:
    """Return a value as the JSON answer to a request; 304 where the caller has it already."""
    body = rendered(request.app.state.context.settings, content)
    etag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"etag": etag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(body, status, headers, media_type="application/json")
