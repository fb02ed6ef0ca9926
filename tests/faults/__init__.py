"""Fault injection against real processes and real files. `python -m faults.run` is the long form, `test_*` is short.

    run.py          the long form: its parts, their results, the table of docs/reliability.md
    ledger.py       requests and their answers, recorded outside the process that may die
    workload.py     the seeded operations, and what may be stored after them
    invariants.py   I1 to I12, through the API and on the files
    victim.py       a real server in a process group of its own
    zygote.py       a process with Shoal imported that forks a victim in milliseconds; inside.py is its code
    io_faults.py    failing and recording system calls (failing_io.c); power_loss.py replays what was recorded
    proxy.py        a network that resets, drops, truncates, stalls
    disk.py         a file system of a few megabytes
    corruption.py   bits that flip
    planted/        bugs that the harness must find
    minimize.py     reduces a failure to the fewest operations

Everything is bounded and seeded, runs on loopback, and ends only processes that it started.
"""
