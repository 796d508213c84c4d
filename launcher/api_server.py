"""The process that ./foresight serve starts: it takes the port, says where it serves, and looks after the workers."""

from __future__ import annotations

import socket
import sys

# What requests that have begun may still take when it ends.
ENDING_SECONDS = 12


def serve(host: str, port: int, workers: int) -> None:
    """Serve until a signal ends it. The port is taken, and the address said, before there is a worker: an address that
    leads to another server would be worse than none."""
    from uvicorn import Config
    from uvicorn.supervisors import Multiprocess

    config = Config(
        "foresight_api.alone:create",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        server_header=False,
        log_level="warning",
        timeout_graceful_shutdown=ENDING_SECONDS,
    )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=config.backlog)
    except OSError as error:
        sys.exit(f"foresight: {error}")
    place = f"[{host}]" if ":" in host else host
    print(f"http://{place}:{port}/api/ml/docs (a key: ./foresight key issue)", flush=True)
    Multiprocess(config, sockets=[listener]).run()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
