"""The texts of several files that are read as one table."""

import weakref
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from shoal.files.formats import Format, detect_format, format_from_name
from shoal.files.layout import ReadRequest
from shoal.files.paths.shards import Shard
from shoal.files.reader import Shards
from shoal.files.reader_errors import translate_errors
from shoal.files.text.plain_text import PlainText

__all__ = ["ShardText", "shard_starts"]


class ShardText:
    """The text of one file, decompressed where it is an archive."""

    def __init__(self, shard: Shard, request: ReadRequest, temporary: Path | None) -> None:
        self.name, self.size = shard.name, shard.path.stat().st_size
        with translate_errors(shard.name):
            text = PlainText(shard.path, shard.name, request.format, request.encoding, request.bounds, temporary)
        weakref.finalize(self, text.close)
        self.path = text.path
        self.kind: Format = detect_format(self.path, shard.name, text.format or format_from_name(shard.path))


def shard_starts(shards: Sequence[Shard], counts: Sequence[int]) -> Shards:
    starts = accumulate(counts[:-1], initial=0)
    return [(shard.name, first) for shard, first in zip(shards, starts, strict=True)]
