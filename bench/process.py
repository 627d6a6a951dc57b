"""What the kernel says about a process: CPU time of its threads, and memory."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# /proc/PID/stat after the name: state is field 3, the parent 4, utime 14, stime 15 (proc(5)).
_PARENT = 4 - 3
_UTIME, _STIME = 14 - 3, 15 - 3
_BYTES_PER_KB = 1024


def cpu_seconds(pid: int) -> dict[str, float]:
    """User and system time by thread name, since each thread began; threads that ended are left
    out. The kernel counts in ticks of 10 ms, so measure over many times that."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            name, _, rest = (task / "stat").read_text().partition("(")[2].rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        fields = rest.split()
        seconds[name] += (int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS_PER_S
    return seconds


def run_seconds(pid: int) -> float:
    """Time on a CPU of all threads that live, to the nanosecond; in ticks where the kernel was
    built without these statistics (Documentation/scheduler/sched-stats.rst)."""
    return sum(run_seconds_by_thread(pid).values())


def run_seconds_by_thread(pid: int) -> dict[str, float]:
    """The same by thread name."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            name = (task / "comm").read_text().rstrip("\n")
            seconds[name] += int((task / "schedstat").read_text().split()[0]) / 1e9
        except ProcessLookupError:
            continue  # it ended meanwhile
        except (FileNotFoundError, IndexError):
            return cpu_seconds(pid)
    return seconds


def child_called(name: str, *, of: int) -> int | None:
    """The process id of the child of ``of`` whose program has that name."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            called, _, rest = (process / "stat").read_text().partition("(")[2].rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        if called == name and int(rest.split()[_PARENT]) == of:
            return int(process.name)
    return None


def memory_mb(pid: int) -> dict[str, float]:
    """Resident (RSS) and proportional (PSS) memory in MB (10^6 bytes)."""
    members = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, value = line.partition(":")
        members[name] = int(value.split()[0]) * _BYTES_PER_KB / 1e6
    return {"rss_mb": round(members["Rss"], 1), "pss_mb": round(members["Pss"], 1)}
