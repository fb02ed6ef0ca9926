"""Make the bundled demo data from a copy of clinc150 with sentence vectors.

    python scripts/make_demo_data.py CLINC150.parquet [TARGET.parquet]

Takes 80 rows of each of 28 intents and 40 out-of-scope rows, chosen with a fixed seed, so that anyone with the source
file gets the same bytes. The input needs the columns id, text, label, domain and embedding (float16, 384 numbers of
unit length, from all-MiniLM-L6-v2).
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

TARGET = Path(__file__).parent.parent / "src" / "shoal" / "demo_data" / "clinc150-sample.parquet"
PER_INTENT = 80
OUT_OF_SCOPE = 40
SEED = 42
INTENTS = (
    "lost_luggage", "plug_type", "vaccines", "exchange_rate",
    "freeze_account", "interest_rate", "pin_change", "report_fraud",
    "damaged_card", "redeem_rewards", "credit_limit",
    "recipe", "calories", "cook_time", "restaurant_reservation",
    "play_music", "reminder", "order_status",
    "traffic", "tire_pressure", "jump_start", "oil_change_when",
    "pto_request", "payday", "schedule_meeting",
    "weather", "tell_joke", "change_language",
)  # fmt: skip


def chosen_rows(labels: pa.ChunkedArray) -> np.ndarray:
    """Row numbers, ascending."""
    rng = np.random.default_rng(SEED)
    wanted = {**dict.fromkeys(INTENTS, PER_INTENT), "oos": OUT_OF_SCOPE}
    parts = [
        rng.choice(np.flatnonzero(pc.equal(labels, intent).to_numpy(zero_copy_only=False)), count, replace=False)
        for intent, count in wanted.items()
    ]
    return np.sort(np.concatenate(parts))


def demo_table(source: pa.Table) -> pa.Table:
    rows = source.take(pa.array(chosen_rows(source["label"])))
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("text", pa.string()),
            ("intent", pa.string()),
            ("domain", pa.string()),
            ("embedding", pa.list_(pa.float16(), 384)),
        ],
        metadata={
            "source": "CLINC150 (clinc/oos-eval), CC BY 3.0; a subset, see ATTRIBUTION.md",
            "vectors": "all-MiniLM-L6-v2, unit length, float16",
        },
    )
    columns = [rows[name].combine_chunks() for name in ("id", "text", "label", "domain", "embedding")]
    return pa.Table.from_arrays([c.cast(f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def main(source: str, target: str = str(TARGET)) -> None:
    table = demo_table(pq.read_table(source))
    pq.write_table(
        table,
        target,
        compression="zstd",
        compression_level=19,
        use_byte_stream_split=["embedding.list.element"],
        use_dictionary=["intent", "domain"],
    )
    print(f"{target}: {table.num_rows:,} rows, {Path(target).stat().st_size / 2**20:.2f} MiB")


if __name__ == "__main__":
    main(*sys.argv[1:])
