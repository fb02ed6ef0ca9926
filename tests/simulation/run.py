"""Run many seeds, or repeat one: `python -m simulation.run --seeds 10000`, `python -m simulation.run --seed 4711`."""

import argparse
import logging
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from simulation.simulation import Simulation
from simulation.world import MemoryStore, Store

__all__ = ["STEPS", "find_broken", "find_broken_in_parallel", "main", "open_store"]

STEPS = 200
_IN_MEMORY = Path("/dev/shm")


def open_store(folder: Path, kind: str = "sqlite") -> Store | MemoryStore:
    return Store(folder / "simulated.sqlite") if kind == "sqlite" else MemoryStore()


def memory_folder() -> str | None:
    """Return a folder on an in-memory file system, if there is one."""
    return str(_IN_MEMORY) if _IN_MEMORY.is_dir() else None


def find_broken(seeds: Sequence[int], steps: int = STEPS, kind: str = "sqlite") -> list[tuple[int, str]]:
    """Return the seeds that break a promise, each with its traceback."""
    failures = []
    with _silence_warnings(), tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        store = open_store(Path(folder), kind)
        for seed in seeds:
            store.empty()
            try:
                Simulation(store, seed).run(steps)
            except Exception:  # noqa: BLE001  # any failure is reported with its seed, and the other seeds run
                failures.append((seed, traceback.format_exc()))
        store.close()
    return failures


@contextmanager
def _silence_warnings() -> Iterator[None]:
    """Disable warnings: crashes are expected here."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def find_broken_in_parallel(
    seeds: Sequence[int], steps: int = STEPS, processes: int = 2, kind: str = "sqlite"
) -> list[tuple[int, str]]:
    """Like `find_broken`, on several processes, 50 seeds at a time."""
    chunks = [seeds[start : start + 50] for start in range(0, len(seeds), 50)]
    with ProcessPoolExecutor(processes) as pool:
        return [
            failure
            for failures in pool.map(find_broken, chunks, [steps] * len(chunks), [kind] * len(chunks))
            for failure in failures
        ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Return exit code 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m simulation.run", description=__doc__)
    parser.add_argument("--seed", type=int, help="only this seed")
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--store", choices=["sqlite", "memory"], default="sqlite")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    seeds = [options.seed] if options.seed is not None else list(range(options.first, options.first + options.seeds))
    failures = find_broken_in_parallel(seeds, options.steps, options.processes, options.store)
    for seed, where in failures[:5]:
        print(f"seed {seed}\n{where}")  # noqa: T201
    seconds = time.monotonic() - began
    print(f"{len(seeds):,} seeds × {options.steps} steps in {seconds:.0f} s: {len(failures)} broke a promise")  # noqa: T201
    if failures:
        print(f"again: python -m simulation.run --seed {failures[0][0]}")  # noqa: T201
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
