"""HTTP requests: documents, and downloads to disk."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from basis_pipeline.config.automation import FetchLimits
from basis_pipeline.errors import FetchError
from basis_pipeline.market.fetch.attempts import Host, Unavailable, retry_after

TEMPORARY = (408, 425, 429)
LARGEST_DOCUMENT = 64 * 1024 * 1024
NOT_FOUND = 404


class HttpClient:
    """HTTP client of one host.

    Parameters
    ----------
    url: the base URL; it may contain a key and appears in no message.
    """

    def __init__(self, url: str, limits: FetchLimits) -> None:
        self.url = url.rstrip("/")
        self.host = Host(urlsplit(url).netloc.rpartition("@")[2], limits)
        self.client = httpx.Client(timeout=limits.timeout_seconds, follow_redirects=True)

    def get(self, path: str) -> bytes | None:
        """Return a document; None when there is none (404). Raises FetchError, as `Host.retry`."""
        return self.host.retry(lambda: self.body("GET", path, None), self.host.name + path)

    def download(self, path: str, file: Path, checksum: str) -> None:
        """Write a file as a whole, once its SHA-256 is as expected.

        Raises
        ------
        FetchError: as `Host.retry`; FETCH-004 when the checksum is wrong at every attempt.
        OSError: it cannot be written.
        """
        part = file.with_name(f".{file.name}.part")
        try:
            self.host.retry(lambda: self._write(path, part, checksum), self.host.name + path)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)

    @contextmanager
    def _stream(self, method: str, path: str, json: Any = None) -> Iterator[httpx.Response]:
        """Open an answer before its body is read; turn httpx errors into Unavailable."""
        try:
            with self.client.stream(method, self.url + path, json=json) as answer:
                yield answer
        except (httpx.RemoteProtocolError, httpx.DecodingError):
            raise Unavailable("the answer ends too early or is malformed", damaged=True) from None
        except httpx.TimeoutException:
            raise Unavailable("no answer in time") from None
        except httpx.HTTPError as error:
            # The text of the error may contain the whole URL, and the URL a key.
            raise Unavailable(f"no connection ({type(error).__name__})") from None

    def body(self, method: str, path: str, document: Any) -> bytes | None:
        """Return the whole answer of one attempt; None when there is none (404 to a GET).

        Raises
        ------
        Unavailable: another attempt may succeed. FetchError: FETCH-003, 005, none will.
        """
        pieces: list[bytes] = []
        size = 0
        with self._stream(method, path, json=document) as answer:
            if answer.status_code == NOT_FOUND and method == "GET":
                return None
            _require_success(answer, self.host.name + path)
            for piece in answer.iter_bytes():
                size += len(piece)
                if size > LARGEST_DOCUMENT:
                    what = f"the answer is larger than {LARGEST_DOCUMENT // 1024**2} MB"
                    raise FetchError("FETCH-005", what, where=self.host.name + path)
                pieces.append(piece)
        return b"".join(pieces)

    def _write(self, path: str, part: Path, checksum: str) -> None:
        digest = hashlib.sha256()
        with self._stream("GET", path) as answer, part.open("wb") as file:
            _require_success(answer, self.host.name + path)
            for piece in answer.iter_bytes():
                digest.update(piece)
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        if digest.hexdigest() != checksum:
            found = digest.hexdigest()
            reason = f"the SHA-256 of {path} is {found}, and its checksum file says {checksum}"
            raise Unavailable(reason, damaged=True)


def is_temporary(status: int) -> bool:
    """Return whether another attempt may succeed, given the HTTP status."""
    return status in TEMPORARY or status >= 500


def _require_success(answer: httpx.Response, where: str) -> None:
    status = answer.status_code
    if is_temporary(status):
        wait = retry_after(answer.headers.get("Retry-After"))
        raise Unavailable(f"answered {status}", retry_after=wait)
    if not answer.is_success:
        raise FetchError("FETCH-003", f"answered {status}", where=where)
