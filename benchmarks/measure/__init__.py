"""How the engine benchmarks measure: every contender in a process of its own, all of them in turns.

| module | holds |
|---|---|
| `contenders` | how each library is asked: the one place that names their interfaces, Shoal's included |
| `child` | the process of one contender: imports, fits on request, reports time and memory |
| `process` | the other end of it: limits, pauses, kills |
| `race` | rounds of contenders in turns |
| `sets` | the points, and the labels they came with |
| `quality` | what the answers are worth, computed alike for all |
| `machine` | where and with which versions |
| `report` | JSON and Markdown |
| `command` | the command line that the benchmarks share |

Nothing is imported here: a contender's process must start with as little as possible.
"""
