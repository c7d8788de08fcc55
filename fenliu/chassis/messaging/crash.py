"""Points at which a test can kill the process, to show that nothing is lost there. Inert without the variable.

FENLIU_TEST_CRASHPOINT=consumer_committed:3   dies without warning the third time that it comes by
"""

from __future__ import annotations

import os
import signal

_name, _, _count = os.environ.get("FENLIU_TEST_CRASHPOINT", "").partition(":")
_left = int(_count or 1)


def crash_point(name: str) -> None:
    """Kill this process (SIGKILL) if the environment names this point and it has been passed often enough."""
    global _left
    if name != _name:
        return
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
