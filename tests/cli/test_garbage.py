"""Full collections of the server's process, in a process of their own: they are settings of the interpreter."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.process

CODE = """
import gc
from shoal.cli.processes.garbage import collect_when_cheap, prepare_collector

class Node:
    pass

def cycle():
    node = Node()
    node.itself = node
    return node

full = 0
def count(phase, about):
    global full
    full += phase == "start" and about["generation"] == 2

prepare_collector()
gc.callbacks.append(count)
held = [[n] for n in range(600_000)]
print(full)
for _ in range(9):
    gc.collect(1)
collect_when_cheap(0)
print(full)
del held
node = cycle()
for _ in range(9):
    gc.collect(1)
del node
collect_when_cheap(1)
print(full)
collect_when_cheap(0)
print(full, sum(isinstance(one, Node) for one in gc.get_objects()))
"""


def test_a_full_collection_runs_when_few_objects_are_alive() -> None:
    ran = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    beside_many, asked_beside_many, at_another_tick, end = ran.stdout.splitlines()

    assert (beside_many, asked_beside_many, at_another_tick) == ("0", "0", "0")
    assert end == "1 0"
