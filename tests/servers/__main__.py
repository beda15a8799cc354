"""Runs the service until its input ends, on the databases named or on both: for tests in another environment.

Prints one line when all are ready: `{"sqlite": {"url": …, "key": …}, "postgres": {…}}`; the key is a service key.
"""

import contextlib
import json
import sys

from tests.servers.databases import DIALECTS, Databases
from tests.servers.service import ServiceProcess


def main() -> None:
    """Serves until whoever started it closes its input or ends."""
    kinds = sys.argv[1:] or DIALECTS
    with Databases(kinds) as databases, contextlib.ExitStack() as services:
        running = {}
        for dialect in kinds:
            service = ServiceProcess(database_url=databases.fresh(dialect), log_level="error")
            services.enter_context(service)
            running[dialect] = {"url": service.base_url, "key": service.admin_key}
        print(json.dumps(running), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
