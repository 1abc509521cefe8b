"""A PostgreSQL server of the tests' own: in a temporary directory, on a free port of this machine, for one session."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

PASSWORD = "s3cret/&word"  # of the user that everything runs as; in a URL it has to be written otherwise
IN_URLS = "s3cret%2F%26word"
USER = "researcher"


@dataclass
class PostgresServer:
    """A running server with a database `lab`, and an empty one for each `database()`."""

    binaries: Path
    folder: Path
    port: int
    databases: int = 0
    stores: int = 0

    def start(self) -> None:
        """Start it again where it was."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        # a test's server need not survive a power cut
        options += " -c fsync=off -c shared_buffers=16MB -c max_connections=60"
        self._run("pg_ctl", "-D", self.folder / "data", "-l", self.folder / "log", "-w", "-o", options, "start")

    def stop(self, how: str = "immediate") -> None:
        """Stop it; `immediate`: as if it had crashed."""
        self._run("pg_ctl", "-D", self.folder / "data", "-m", how, "-w", "stop")

    def is_running(self) -> bool:
        """Whether it answers."""
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Carry out SQL as the superuser."""
        words = ["-h", self.folder, "-p", self.port, "-U", "postgres", "-d", database, "-v", "ON_ERROR_STOP=1"]
        return self._run("psql", *words, "-X", "-A", "-t", "-c", statement)

    def url(self, database: str, *, user: str = USER, password: str = IN_URLS, more: str = "") -> str:
        """The URL of a database, with its password."""
        return f"postgresql+psycopg://{user}:{password}@127.0.0.1:{self.port}/{database}{more}"

    def store(self) -> str:
        """The URL of a store that is not there yet: a schema in `lab`, which is made sooner than a database."""
        self.stores += 1
        return self.url("lab", more=f"?schema=store_{self.stores}")

    def database(self) -> str:
        """The name of a new, empty database that belongs to the user."""
        self.databases += 1
        name = f"test_{self.databases}"
        self.sql(f"CREATE DATABASE {name} OWNER {USER} STRATEGY file_copy")
        return name

    def _run(self, program: str, *arguments: object) -> str:
        done = subprocess.run(
            [str(self.binaries / program), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env={**os.environ, "LC_ALL": "C"},
            **_unprivileged(),  # type: ignore[arg-type]
        )
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"
        return done.stdout.strip()


def _unprivileged() -> dict[str, object]:
    """The server refuses to run as root: then, the user that it runs as, and a group."""
    if os.geteuid():
        return {}
    known = pwd.getpwall()
    user = next((one for name in ("postgres", "nobody") for one in known if one.pw_name == name), None)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}


def _binaries() -> Path | None:
    """Where initdb and postgres are: in PATH, or where Debian puts them; the newest."""
    found = shutil.which("initdb")
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    for place in [*places, *([Path(os.path.realpath(found)).parent] if found else [])]:
        if all((place / name).exists() for name in ("initdb", "pg_ctl", "postgres", "psql")):
            return place
    return None


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """A server that is gone afterwards; the test is skipped where none is installed."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'qtlplat[postgres]'")
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server is installed: initdb is neither in PATH nor in /usr/lib/postgresql")
    # not in pytest's own directory, which nobody but root may enter where root runs the tests
    with tempfile.TemporaryDirectory(prefix="qtlplat-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        server = PostgresServer(binaries, folder, port)
        if other := _unprivileged():
            os.chown(folder, other["user"], other["group"])  # type: ignore[arg-type]
        (folder / "hba").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        arguments = ["-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        server._run("initdb", *arguments)
        shutil.copyfile(folder / "hba", folder / "data" / "pg_hba.conf")
        server.start()
        try:
            server.sql(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
            server.sql(f"CREATE DATABASE lab OWNER {USER} STRATEGY file_copy")
            yield server
        finally:
            if server.is_running():
                server.stop()
