"""A Redis server of the tests' own, on a free port of this machine."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import redis

from basis_pipeline.settings import SecretUrl


@dataclass
class RedisServer:
    """A server that can be stopped and started again on the same port."""

    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> SecretUrl:
        """Its URL."""
        return SecretUrl(f"redis://127.0.0.1:{self.port}/0")

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
        client = redis.Redis(port=self.port)
        for _ in range(200):
            try:
                client.ping()
            except redis.ConnectionError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError("the Redis server does not answer")

    def stop(self) -> None:
        """End it at once."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """A server; on a machine without one only CI insists."""
    if not shutil.which("redis-server"):
        missing = "no redis-server on this machine"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server = RedisServer(probe.getsockname()[1])
    server.start()
    try:
        yield server
    finally:
        server.stop()
