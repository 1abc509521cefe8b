"""Which processes hold a database that is locked, as far as the system tells."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from qtlplat.errors import safe_repr

LOCKS = Path("/proc/locks")  # of Linux
PROCESSES = Path("/proc")
UNKNOWN = "which process cannot be known here"
_MOST_NAMED = 4


def of_file(database: Path) -> str:
    """The other processes that hold locks on an SQLite file, or on what belongs to it, in words."""
    paths = [Path(f"{database}{suffix}") for suffix in ("", "-shm", "-wal")]
    known: dict[int, int] = {}  # inode -> device
    for path in paths:
        try:
            found = path.stat()
        except OSError:
            continue
        known[found.st_ino] = found.st_dev
    try:
        lines = LOCKS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return UNKNOWN
    holders = set()
    for words in (line.split() for line in lines):
        # number, kind, ADVISORY, READ or WRITE, process, device:inode, range; who waits has -> before the kind
        if len(words) < 6 or words[1] == "->":
            continue
        major, minor, inode = words[5].split(":")
        if int(inode) not in known or not words[4].isdigit() or int(words[4]) == os.getpid():
            continue
        if os.makedev(int(major, 16), int(minor, 16)) == known[int(inode)] or _has_open(words[4], paths):
            holders.add(int(words[4]))  # 0: in another namespace of processes
    return _told([f"{pid} ({_program(pid)})" for pid in sorted(holders - {0})], "process")


def of_server(engine: Engine, schema: str) -> str:
    """The sessions with locks other than read locks on a schema's tables, in words."""
    query = (
        "SELECT DISTINCT a.pid, coalesce(nullif(a.application_name, ''), 'unnamed program'), coalesce(a.usename, ''), "
        "coalesce(host(a.client_addr), 'the server itself') FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
        "JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE l.granted AND n.nspname = %s AND l.mode <> 'AccessShareLock' AND l.pid <> pg_backend_pid() ORDER BY 1"
    )
    try:
        with engine.begin() as connection:
            rows = connection.exec_driver_sql(query, (schema,)).all()
    except SQLAlchemyError:
        return UNKNOWN
    return _told(
        [f"{pid} ({safe_repr(name)}, user {safe_repr(user)}, from {host})" for pid, name, user, host in rows], "session"
    )


def _told(holders: list[str], what: str) -> str:
    if not holders:
        return UNKNOWN
    more = f" and {len(holders) - _MOST_NAMED} more" if len(holders) > _MOST_NAMED else ""
    return f"held by {what} {', '.join(holders[:_MOST_NAMED])}{more}"


def _has_open(process: str, paths: list[Path]) -> bool:
    """Whether a process has one of the files open; where a disk is laid over another, locks name the lower one."""
    wanted = {os.path.realpath(path) for path in paths}
    try:
        return any(os.path.realpath(file) in wanted for file in (PROCESSES / process / "fd").iterdir())
    except OSError:
        return False


def _program(process: int) -> str:
    """What a process was started as, as far as that may be read."""
    try:
        words = (PROCESSES / str(process) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return "a program of another user"
    text = " ".join(os.fsdecode(word) for word in words[:3] if word)
    return safe_repr(text)[1:-1] if text else "a program without a name"
