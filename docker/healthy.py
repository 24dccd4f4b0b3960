"""Exits with 0 if the Ray node of this container works: its raylet and, on the head, the head's service.

Asks the agent of this node, which wants no token for it. RAY_AGENT_PORT is its port where that is not 52365.
"""

import os
import sys
import urllib.request

PORT = int(os.environ.get("RAY_AGENT_PORT", "52365"))
SECONDS = 8


def main() -> int:
    """0 where the node works, else 1 with the reason on standard error."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/api/healthz", timeout=SECONDS) as answer:
            return 0 if answer.status == 200 else 1
    except OSError as error:  # refused, no answer in time, or 503 with what is wrong
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
