"""What processes cost, read from /proc: memory and processor time. Used by the benchmarks."""

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path


def members(session: int) -> list[int]:
    """Return the processes of a session: the leader and what it started, as Ollama does its model runner."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(int(process.name)) == session:
                found.append(int(process.name))
    return found


def resident_mib(pids: list[int]) -> tuple[int, int]:
    """Return VmRSS and VmHWM (the most it ever was) of processes together."""
    now_kib = most_kib = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            now_kib += int(fields.get("VmRSS", "0 kB").split()[0])
            most_kib += int(fields.get("VmHWM", "0 kB").split()[0])
    return now_kib // 1024, most_kib // 1024


def resident_kib(pid: int) -> int:
    """Return VmRSS of a process."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0])


def age_s() -> float:
    """Return how long this process has lived: the imports are a part of starting."""
    ticks = int(_stat(os.getpid())[19])
    return float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")


class Meter:
    """Shares of a core that processes take, from its making to each reading."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        """Begin to measure processes, given by their names."""
        self._pids = pids
        self._began_at = time.monotonic()
        self._before = {name: _cpu_s(pid) for name, pid in pids.items()}

    def shares(self) -> dict[str, float]:
        """Return the share of one core that each has taken since."""
        passed_s = time.monotonic() - self._began_at
        return {name: (_cpu_s(pid) - self._before[name]) / passed_s for name, pid in self._pids.items()}


def _cpu_s(pid: int) -> float:
    """Return the seconds of processor time that a process has taken with all its threads."""
    user, system = _stat(pid)[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat from the third on: the second may hold anything, spaces too."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
