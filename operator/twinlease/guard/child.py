"""Starting the server's process and reading how it ended."""

import ctypes
import os
import signal
from collections.abc import Iterator, Sequence

_PR_SET_PDEATHSIG = 1
_EXEC_FAILED = 127
# What the server sees of the environment: nothing of the pod's.
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}

_libc = ctypes.CDLL(None, use_errno=True)


def spawn(argv: Sequence[str], output: int, held: Sequence[int] = ()) -> int:
    """Start a program and return its process id.

    Its standard output and error are ``output``; it inherits the file descriptors ``held`` and no others. It is killed
    when this process dies. Where the program has file capabilities the kernel forgets that wish at exec (prctl(2)), and
    what holds instead is that this process is PID 1: with it ends the process namespace.

    Raises:
        OSError: The program cannot be run.
    """
    parent = os.getpid()
    failed, failing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            _become(argv, output, held, parent)
        except OSError as error:
            os.write(failing, str(error.errno).encode())
        finally:
            os._exit(_EXEC_FAILED)
    os.close(failing)
    # Returns as soon as exec has closed the other end, or with the reason why it could not.
    said = os.read(failed, 16)
    os.close(failed)
    if said:
        os.waitpid(pid, 0)
        raise OSError(int(said), os.strerror(int(said)), argv[0])
    return pid


def reap() -> Iterator[tuple[int, int]]:
    """Yield process id and exit code of every child that has ended, orphans included; negative: by that signal."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, os.waitstatus_to_exitcode(status)


def _become(argv: Sequence[str], output: int, held: Sequence[int], parent: int) -> None:
    os.setsid()
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(_EXEC_FAILED)  # it died before the kernel knew what we want then
    # The interpreter ignores these two, and exec would hand that on.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    for fd in held:
        os.set_inheritable(fd, True)  # noqa: FBT003  # the standard library's own signature
    os.execve(argv[0], list(argv), _ENVIRONMENT)  # noqa: S606  # a shell in between would lose the capabilities
