"""A process of its own that asks for a path again and again, over a new connection each time:
`python -m hostile.probe URL`. It prints milliseconds and status, a line each, until its standard input closes."""

import http.client
import sys
import threading
import time
from urllib.parse import urlsplit


def main() -> None:
    address = urlsplit(sys.argv[1])
    over = threading.Event()
    threading.Thread(target=_wait, args=(over,), daemon=True).start()
    while not over.wait(0.02):
        began, status = time.perf_counter(), 0
        line = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
        try:
            line.request("GET", address.path)
            answer = line.getresponse()
            answer.read()
            status = answer.status
        except OSError:
            pass
        finally:
            line.close()
        sys.stdout.write(f"{(time.perf_counter() - began) * 1000:.2f} {status}\n")


def _wait(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()


if __name__ == "__main__":
    main()
