"""Windows: a job object that ends with its last handle, which only we hold.

The process is created suspended, put into the job, and resumed, so that nothing it starts can escape.
Source: Microsoft's "Job Objects" (JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE).
"""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import contextlib
import ctypes
import signal
import subprocess
from ctypes import wintypes
from pathlib import Path
from typing import IO, TYPE_CHECKING

CREATE_SUSPENDED = 0x00000004
JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE = 0x00002000
JOB_OBJECT_EXTENDED_LIMIT_INFORMATION = 9

if TYPE_CHECKING:
    Stream = int | IO[bytes] | None


class _BasicLimits(ctypes.Structure):
    _fields_ = [
        ("PerProcessUserTimeLimit", ctypes.c_int64),
        ("PerJobUserTimeLimit", ctypes.c_int64),
        ("LimitFlags", wintypes.DWORD),
        ("MinimumWorkingSetSize", ctypes.c_size_t),
        ("MaximumWorkingSetSize", ctypes.c_size_t),
        ("ActiveProcessLimit", wintypes.DWORD),
        ("Affinity", ctypes.c_size_t),
        ("PriorityClass", wintypes.DWORD),
        ("SchedulingClass", wintypes.DWORD),
    ]


class _ExtendedLimits(ctypes.Structure):
    _fields_ = [
        ("BasicLimitInformation", _BasicLimits),
        ("IoInfo", ctypes.c_uint64 * 6),
        ("ProcessMemoryLimit", ctypes.c_size_t),
        ("JobMemoryLimit", ctypes.c_size_t),
        ("PeakProcessMemoryUsed", ctypes.c_size_t),
        ("PeakJobMemoryUsed", ctypes.c_size_t),
    ]


def _library() -> ctypes.WinDLL:
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.CreateJobObjectW.restype = wintypes.HANDLE
    kernel.CreateJobObjectW.argtypes = [wintypes.LPVOID, wintypes.LPCWSTR]
    kernel.SetInformationJobObject.argtypes = [wintypes.HANDLE, ctypes.c_int, wintypes.LPVOID, wintypes.DWORD]
    kernel.AssignProcessToJobObject.argtypes = [wintypes.HANDLE, wintypes.HANDLE]
    kernel.TerminateJobObject.argtypes = [wintypes.HANDLE, wintypes.UINT]
    kernel.CloseHandle.argtypes = [wintypes.HANDLE]
    return kernel


class Tether:
    """What ties one child to our life."""

    def __init__(self) -> None:
        self._kernel = _library()
        self._job: int | None = self._kernel.CreateJobObjectW(None, None)
        if not self._job:
            raise ctypes.WinError(ctypes.get_last_error())
        limits = _ExtendedLimits()
        limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
        if not self._kernel.SetInformationJobObject(
            self._job, JOB_OBJECT_EXTENDED_LIMIT_INFORMATION, ctypes.byref(limits), ctypes.sizeof(limits)
        ):
            raise ctypes.WinError(ctypes.get_last_error())

    def start(
        self,
        argv: list[str],
        *,
        env: dict[str, str],
        cwd: Path | None,
        stdout: Stream,
        stderr: Stream,
        stdin: Stream,
        pass_fds: tuple[int, ...],
    ) -> subprocess.Popen[bytes]:
        """Start the process inside the job."""
        if pass_fds:
            raise ValueError(f"Starting {argv[0]!r}: Windows cannot pass file descriptors {pass_fds!r}")
        popen = subprocess.Popen(
            argv,
            env=env,
            cwd=cwd,
            stdout=stdout,
            stderr=stderr,
            stdin=stdin,
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP
            | subprocess.CREATE_NO_WINDOW
            | CREATE_SUSPENDED,
        )
        handle = int(popen._handle)  # type: ignore[attr-defined]  # subprocess has no public name for it
        if not self._kernel.AssignProcessToJobObject(self._job, handle):
            error = ctypes.WinError(ctypes.get_last_error())
            popen.kill()
            popen.wait()
            raise error
        # subprocess keeps no thread handle, so the process is resumed as a whole.
        ctypes.WinDLL("ntdll").NtResumeProcess(wintypes.HANDLE(handle))
        return popen

    def await_end(self, popen: subprocess.Popen[bytes], timeout_s: float | None) -> bool:
        """Whether the process ended within `timeout_s`."""
        try:
            popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def terminate(self, popen: subprocess.Popen[bytes]) -> None:
        """Ctrl+Break to the group, the nearest thing to SIGTERM that Windows has."""
        # It may have no console to be reached through, or be gone; killing comes next.
        with contextlib.suppress(OSError):
            popen.send_signal(signal.CTRL_BREAK_EVENT)

    def kill(self, popen: subprocess.Popen[bytes]) -> None:
        """End every process of the job."""
        if self._job:
            self._kernel.TerminateJobObject(self._job, 1)

    def release(self) -> None:
        """Close the job; whatever were still alive in it would be ended by this."""
        job, self._job = self._job, None
        if job:
            self._kernel.CloseHandle(job)
