"""`shoal serve` with stores that take their time: each call of a store waits some milliseconds first.

    python benchmarks/slow_stores.py --delay-ms 5 [--source OTHER/src] -- serve --data FOLDER --port 0 --workers 0

`--source` serves the code of another checkout, without its native core. A call that a store makes of itself waits no
second time.
"""

import argparse
import dataclasses
import functools
import inspect
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["slow_down"]

_depth = threading.local()


def slow_down(store: type, seconds: float) -> None:
    """Have each public method of a store class wait before it does its work. Changes the class."""
    for name, method in inspect.getmembers(store, inspect.isfunction):
        if not name.startswith("_") and name != "close":
            setattr(store, name, _delay(method, seconds))


def _delay(method: Callable[..., Any], seconds: float) -> Callable[..., Any]:
    @functools.wraps(method)
    def delay_and_call(*arguments: Any, **options: Any) -> Any:
        depth = getattr(_depth, "calls", 0)
        if not depth:
            time.sleep(seconds)
        _depth.calls = depth + 1
        try:
            return method(*arguments, **options)
        finally:
            _depth.calls = depth

    return delay_and_call


def _import_from(source: Path) -> None:
    """Take Shoal from `source`, whatever is installed."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if "shoal" not in type(finder).__module__]
    sys.path.insert(0, str(source.resolve()))
    os.environ["SHOAL_KERNELS"] = "plain"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delay-ms", type=float, default=5.0)
    parser.add_argument("--source", type=Path)
    parser.add_argument("command", nargs="+", help="the command line of shoal, after --")
    args = parser.parse_args()
    if args.source is not None:
        _import_from(args.source)

    import shoal.assemble
    from shoal.cli.main import main as shoal_main

    assembled = shoal.assemble.assemble

    @functools.wraps(assembled)
    def assemble_slowly(*settings: Any, **options: Any) -> Any:
        services = assembled(*settings, **options)
        if args.delay_ms:
            if hasattr(services, "stores") and hasattr(services.stores, "are_local"):
                services = dataclasses.replace(services, stores=dataclasses.replace(services.stores, are_local=False))
            for store in (services.metadata, services.documents_store, services.artifacts):
                slow_down(type(store), args.delay_ms / 1000)
        return services

    shoal.assemble.assemble = assemble_slowly
    sys.argv = ["shoal", *args.command]
    shoal_main()


if __name__ == "__main__":
    main()
