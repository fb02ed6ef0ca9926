"""Many seeds, or one again: `python -m simulation.run --seeds 10000`, `python -m simulation.run --seed 4711`."""

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

__all__ = ["STEPS", "broken", "broken_in_pieces", "fresh_store", "main"]

STEPS = 200
_IN_MEMORY = Path("/dev/shm")


def fresh_store(folder: Path, kind: str = "sqlite") -> Store | MemoryStore:
    return Store(folder / "simulated.sqlite") if kind == "sqlite" else MemoryStore()


def memory_folder() -> str | None:
    """A file system in memory, where there is one."""
    return str(_IN_MEMORY) if _IN_MEMORY.is_dir() else None


def broken(seeds: Sequence[int], steps: int = STEPS, kind: str = "sqlite") -> list[tuple[int, str]]:
    """The seeds that break a promise, each with where."""
    found = []
    with _quiet(), tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        store = fresh_store(Path(folder), kind)
        for seed in seeds:
            store.empty()
            try:
                Simulation(store, seed).run(steps)
            except Exception:  # noqa: BLE001  # whatever it is, the seed is told and the others go on
                found.append((seed, traceback.format_exc()))
        store.close()
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings: crashes happen here all the time."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def broken_in_pieces(
    seeds: Sequence[int], steps: int = STEPS, processes: int = 2, kind: str = "sqlite"
) -> list[tuple[int, str]]:
    """The same on several processes, 50 seeds at a time."""
    pieces = [seeds[start : start + 50] for start in range(0, len(seeds), 50)]
    with ProcessPoolExecutor(processes) as pool:
        return [one for found in pool.map(broken, pieces, [steps] * len(pieces), [kind] * len(pieces)) for one in found]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m simulation.run", description=__doc__)
    parser.add_argument("--seed", type=int, help="this one only")
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--store", choices=["sqlite", "memory"], default="sqlite")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    seeds = [given.seed] if given.seed is not None else list(range(given.first, given.first + given.seeds))
    failures = broken_in_pieces(seeds, given.steps, given.processes, given.store)
    for seed, where in failures[:5]:
        print(f"seed {seed}\n{where}")  # noqa: T201
    seconds = time.monotonic() - began
    print(f"{len(seeds):,} seeds × {given.steps} steps in {seconds:.0f} s: {len(failures)} broke a promise")  # noqa: T201
    if failures:
        print(f"again: python -m simulation.run --seed {failures[0][0]}")  # noqa: T201
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
