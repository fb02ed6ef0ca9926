"""Full garbage collections of the server, tested in a separate process because they are interpreter settings."""

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
def count(phase, info):
    global full
    full += phase == "start" and info["generation"] == 2

prepare_collector()
gc.callbacks.append(count)
objects = [[n] for n in range(600_000)]
print(full)
for _ in range(9):
    gc.collect(1)
collect_when_cheap(0)
print(full)
del objects
node = cycle()
for _ in range(9):
    gc.collect(1)
del node
collect_when_cheap(1)
print(full)
collect_when_cheap(0)
print(full, sum(isinstance(item, Node) for item in gc.get_objects()))
"""


def test_a_full_collection_runs_when_few_objects_are_alive() -> None:
    process = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    with_many_objects, after_request_with_many, after_other_tick, final = process.stdout.splitlines()

    assert (with_many_objects, after_request_with_many, after_other_tick) == ("0", "0", "0")
    assert final == "1 0"
