"""Starts a peer: `python -m bench.peers postgres|sqlite PORT DATABASE`, or `… responder PORT BYTES`.

It ends when its input does, so that nothing is left running however its starter ended.
"""

import os
import sys
from threading import Thread

import uvicorn
import uvloop

from bench.peers import responder


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    Thread(target=_end_with_input, daemon=True).start()
    kind, port, argument = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    if kind == "responder":
        uvloop.run(responder.serve(port, int(argument)))
    else:
        os.environ["PEER_DATABASE"] = argument
        uvicorn.run(
            f"bench.peers.{kind}:app", port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning"
        )
