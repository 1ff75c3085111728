"""A process of this machine, told apart from later ones with the same number."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress


def place() -> str:
    """Where a process id means the same process: host, its boot, and process namespace."""
    boot, namespace = "", ""
    with suppress(OSError):  # only Linux tells
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read().strip()
        namespace = os.readlink("/proc/self/ns/pid")
    return f"{socket.gethostname()} {boot} {namespace}"


def is_running(pid: int, born: str) -> bool:
    """Whether process `pid` of this machine, whose `birth` was `born`, still runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs, for another user
        pass
    return birth(pid) in (born, "")  # else the number is another process's by now


def birth(pid: int) -> str:
    """Start time of a process, "dead" if it only waits to be buried, "" if that is unknown."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The command's name, in brackets, may hold anything; state and start time follow it.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:  # not Linux, hidden from this user, or gone this moment
        return ""
    return "dead" if fields[0] in (b"Z", b"X") else fields[19].decode()


def age() -> float:
    """Seconds since this process began; 0 where the system does not tell."""
    born = birth(os.getpid())
    if not born:
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(born) / os.sysconf("SC_CLK_TCK")


def private_memory() -> int:
    """Bytes that this process holds for itself alone; 0 where the system does not tell.

    Without files and memory that other processes map too: libraries, Ray's store of objects.
    """
    with suppress(OSError), open("/proc/self/statm") as file:
        _, resident, shared = map(int, file.read().split()[:3])
        return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
    return 0
