"""A PostgreSQL server of the tests' own: made, used and removed, where none is named.

`python -m tests.postgres COMMAND …` runs a command with one, named in BASIS_TEST_POSTGRES_URL.
"""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

VARIABLE = "BASIS_TEST_POSTGRES_URL"
ACCOUNTS = ("postgres", "nobody")  # the server refuses to run as root
QUICK = ("fsync=off", "full_page_writes=off", "max_connections=60", "shared_buffers=16MB")


def binaries() -> Path | None:
    """Where `initdb` and `postgres` are; None on a machine without a server."""
    on_path = shutil.which("initdb")
    places = [Path(on_path).parent] if on_path else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "postgres").exists()), None)


@contextmanager
def server() -> Iterator[str]:
    """A server on a free port of this machine; its URL names the database to connect to first."""
    if named := os.environ.get(VARIABLE):
        yield named
        return
    if (programs := binaries()) is None:
        raise FileNotFoundError(f"no PostgreSQL: install one, or name a server in {VARIABLE}")
    home = Path(tempfile.mkdtemp(prefix="basis-postgres-"))
    account = _account()
    if account:
        shutil.chown(home, account["user"], account["group"])
    options: dict[str, Any] = {"cwd": home, "env": {"PATH": os.environ["PATH"]}, **account}
    data = home / "data"
    try:
        initdb = [programs / "initdb", "-D", data, "-U", "basis", "-A", "trust", "-E", "UTF8"]
        initdb += ["--locale=C", "--no-sync"]
        subprocess.run(initdb, check=True, capture_output=True, **options)
        port = _free_port()
        command = [programs / "postgres", "-D", data, "-k", home, "-p", str(port)]
        command += [part for setting in QUICK for part in ("-c", setting)]
        with (home / "log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, **options)
        try:
            _wait_for(process, port, home / "log")
            yield f"postgresql://basis@127.0.0.1:{port}/postgres"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def database(server_url: str) -> Iterator[str]:
    """URL of a new database on a server, gone afterwards."""
    from sqlalchemy import NullPool, create_engine, make_url, text

    place = make_url(server_url).set(drivername="postgresql+psycopg2")
    admin = create_engine(place, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    name = f"test_{uuid4().hex}"
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    new = place.set(drivername="postgresql", database=name)
    try:
        yield new.render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def _account() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    found = next(known[name] for name in ACCOUNTS if name in known)
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Return when the server answers a query."""
    import psycopg2

    while process.poll() is None:
        try:
            psycopg2.connect(host="127.0.0.1", port=port, user="basis", dbname="postgres").close()
        except psycopg2.OperationalError:
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
        else:
            return
    raise RuntimeError(f"the PostgreSQL server ended: {log.read_text()}")


if __name__ == "__main__":
    with server() as url:
        ended = subprocess.run(sys.argv[1:], env={**os.environ, VARIABLE: url}, check=False)
    sys.exit(ended.returncode)
