"""Ties a child process to its supervisor: when the supervisor is gone, however it went, the child stops.

The supervisor holds the write end of the child's standard input. The kernel closes it when the supervisor dies, even
by SIGKILL, so reading the end of file is a signal that cannot be missed and works on every Unix.

    python -m fenliu.cli.guard COMMAND [ARGUMENT…]      runs a program that knows nothing of this

Its exit code is the program's; 128 + number where a signal ended the program, as shells have it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable


def when_orphaned(call: Callable[[], object]) -> None:
    """Call `call` once standard input ends. Only for processes that a supervisor started with a pipe there."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        call()

    threading.Thread(target=wait, name="guard", daemon=True).start()


def terminate_self() -> None:
    """Ask this process to stop gracefully."""
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    """Run the command line's program; stop it when the supervisor is gone or when told to."""
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    when_orphaned(child.terminate)
    code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
