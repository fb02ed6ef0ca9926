// The loop that all instruction sets share. A Tile holds the products of 4 rows with kPanels panels:
//   clear(), shift(bits), add(rows, panels, panel_stride, from, to)   products over groups from..to
//   any(bounds)                                                        whether a pair can still be a hit
//   write(bounds, first_row, first_column, out)                        the hits, returns the end of them
#pragma once

#include "scan.hpp"

namespace shoal {
namespace {  // this is compiled for several instruction sets: what the linker shared might not run everywhere

// Thresholds of a tile after one stage.
struct Bounds {
    const int32_t* row_half;
    const int32_t* column_half;
    const int32_t* row_least;
    const int32_t* column_least;
};

// Adds products stage by stage, until no pair reaches its threshold or all stages are added; false in the first case.
// `prepare(from, to)` is called before those groups of the rows are read.
template <class Tile, class Prepare>
inline bool reach(Tile& tile, const Scan& task, const int32_t* row_half, int64_t row_half_stride, int column,
                  const uint8_t* rows, const int8_t* codes, Bounds& bounds, Prepare&& prepare) {
    const Stages& stages = *task.stages;
    const int64_t stride = stages.groups() * kPanel * kGroup;
    tile.clear();
    for (int stage = 0, from = 0; stage < stages.count; from = stages.end[stage++]) {
        prepare(from, stages.end[stage]);
        tile.add(rows, codes, stride, from, stages.end[stage]);
        if (stage == 0 && stages.shift != 0) tile.shift(stages.shift);
        bounds.row_half = row_half + stage * row_half_stride;
        bounds.column_half = task.column_half + stage * task.column_half_stride + column;
        if (!tile.any(bounds)) return false;
    }
    return true;
}

// Four of the listed rows with their data, side by side.
struct Gathered {
    int32_t half[kMostStages][kTileRows];
    int32_t least[kMostLevels + 1][kTileRows];
    const uint8_t* rows[kTileRows];

    Gathered(const Probe& task, const int32_t* listed) {
        const int64_t row_bytes = int64_t(task.scan.stages->groups()) * kGroup;
        for (int row = 0; row < kTileRows; ++row) {
            const int32_t own = listed[row];
            rows[row] = task.scan.rows + own * row_bytes;
            for (int stage = 0; stage < task.scan.stages->count; ++stage)
                half[stage][row] = task.scan.row_half[stage * task.scan.row_half_stride + own];
            least[0][row] = task.scan.row_least[own];
            for (int level = 0; level < task.levels; ++level)
                least[level + 1][row] = task.wider[level * task.wider_stride + own];
        }
    }

    void copy(int from, int to, uint8_t* tile) const {
        for (int group = from; group < to; ++group)
            for (int row = 0; row < kTileRows; ++row)
                __builtin_memcpy(tile + (group * kTileRows + row) * kGroup, rows[row] + group * kGroup, kGroup);
    }
};

template <class Tile>
int probe_with(const Probe& task, Hit* hits) {
    Hit* out = hits;
    for (int at = 0; at < task.listed_count; at += kTileRows) {
        const int32_t* listed = task.listed + at;
        const Gathered own(task, listed);
        Bounds bounds{nullptr, nullptr, own.least[task.sought], task.scan.column_least};
        Tile tile;
        int clear = task.sought + 1;  // levels without a pair
        if (reach(tile, task.scan, own.half[0], kTileRows, 0, task.tile, task.scan.panels, bounds,
                  [&](int from, int to) { own.copy(from, to, task.tile); })) {
            bounds.row_least = own.least[0];
            clear = task.sought == 0 || tile.any(bounds) ? 0 : 1;
        }
        if (clear == 0) {
            Hit* end = tile.write(bounds, 0, 0, out);
            for (; out != end; ++out) out->row = listed[out->row];
        }
        for (; clear > 0 && clear <= task.levels; ++clear) {
            bounds.row_least = own.least[clear];
            if (tile.any(bounds)) break;
        }
        task.clear[at / kTileRows] = uint8_t(clear);
    }
    return int(out - hits);
}

template <class Tile>
int scan_with(const Scan& task, Hit* hits) {
    Hit* out = hits;
    const Stages& stages = *task.stages;
    const int64_t groups = stages.groups();
    const int64_t stride = groups * kPanel * kGroup;
    for (int panel = 0; panel < task.panel_count; panel += Tile::kPanels) {
        const int8_t* codes = task.panels + panel * stride;
        const int column = panel * kPanel;
        for (int row = 0; row < task.row_count; row += kTileRows) {
            const uint8_t* rows = task.rows + row * groups * kGroup;
            Bounds bounds{nullptr, nullptr, task.row_least + row, task.column_least + column};
            Tile tile;
            const auto ready = [](int, int) {};
            if (reach(tile, task, task.row_half + row, task.row_half_stride, column, rows, codes, bounds, ready))
                out = tile.write(bounds, row, column, out);
        }
    }
    return int(out - hits);
}

}  // namespace
}  // namespace shoal
