"""A waiting caller gets ten ticks a second, however long a piece of work takes, and can cancel it.

No piece of work ends here before a number of ticks have arrived while it was running: counting ticks measures no time.
"""

import threading
import time
from collections.abc import Callable

import pytest

from shoal.engine import kernels
from shoal.engine.parallel import map_in_order, spans

Tick = Callable[[], None]
Run = Callable[[Callable[[int], None], int, int, Tick], None]

_PATIENCE = 60.0
"""Seconds after which ticks are assumed never to come."""


class Stopped(Exception):
    """Raised to cancel."""


def by_the_core(work: Callable[[int], None], pieces: int, threads: int, tick: Tick) -> None:
    core = kernels.native()
    assert core is not None
    core.parallel_for(pieces, lambda index, _: work(index), threads, lambda _: tick())


def by_blocks(work: Callable[[int], None], pieces: int, threads: int, tick: Tick) -> None:
    for _ in map_in_order(lambda block: work(block.start), spans(pieces, 1), threads, tick):
        pass


def runs() -> list[object]:
    bare = kernels.native() is None
    return [
        pytest.param(by_the_core, marks=pytest.mark.skipif(bare, reason="no compiled core"), id="core"),
        pytest.param(by_blocks, id="blocks"),
    ]


@pytest.mark.parametrize("run", runs())
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("slow", [0, 3])
def test_ticks_come_while_one_piece_is_waited_for(run: Run, threads: int, slow: int) -> None:
    heard, enough = [0], threading.Event()

    def tick() -> None:
        heard[0] += 1
        if heard[0] == 3:
            enough.set()

    ended: list[int] = []

    def work(piece: int) -> None:
        if piece == slow:
            assert enough.wait(_PATIENCE), "no tick while this piece was running"
        ended.append(piece)

    run(work, 4, threads, tick)

    assert sorted(ended) == [0, 1, 2, 3] and heard[0] >= 3


@pytest.mark.parametrize("run", runs())
@pytest.mark.parametrize("threads", [1, 3])
def test_a_tick_that_raises_stops_the_work_after_the_pieces_in_flight(run: Run, threads: int) -> None:
    cancelled, begun = threading.Event(), []

    def tick() -> None:
        cancelled.set()
        raise Stopped

    def work(piece: int) -> None:
        begun.append(piece)
        assert cancelled.wait(_PATIENCE), "no tick while this piece was running"
        time.sleep(0.02)  # so that no thread takes all pieces before the one that ticked has the interpreter again

    with pytest.raises(Stopped):
        run(work, 100, threads, tick)

    assert len(begun) <= 2 * threads + 1  # those in progress, and those started before all threads noticed


@pytest.mark.parametrize("run", runs())
@pytest.mark.parametrize("threads", [1, 3])
def test_an_exception_of_the_work_ends_the_call_while_others_wait(run: Run, threads: int) -> None:
    def work(piece: int) -> None:
        if piece == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(work, 100, threads, lambda: None)


def test_ticks_of_the_core_never_go_backwards() -> None:
    core = kernels.native()
    if core is None:
        pytest.skip("no compiled core")
    fractions: list[float] = []
    more = [threading.Event() for _ in range(4)]

    def tick(fraction: float) -> None:
        fractions.append(fraction)
        more[min(len(fractions) - 1, 3)].set()

    core.parallel_for(4, lambda index, _: more[index].wait(_PATIENCE), 2, tick)

    assert len(fractions) >= 4 and fractions == sorted(fractions)
    assert fractions[0] >= 0 and fractions[-1] <= 1
