// The loop that all instruction sets share. A Tile holds the products of 4 rows with kPanels panels:
//   clear(), shift(bits), add(rows, panels, panel_stride, from, to)   products over groups from..to
//   any(bounds)                                                        whether a pair can still be a hit
//   write(bounds, first_row, first_column, out)                        the hits, returns the end of them
#pragma once

#include "scan.hpp"

namespace shoal {

// What a tile is compared with after one stage.
struct Bounds {
    const int32_t* row_half;
    const int32_t* column_half;
    const int32_t* row_least;
    const int32_t* column_least;
};

// Adds stage after stage of products to the tile, until no pair reaches its threshold or all are in; false in the first
// case.
template <class Tile>
bool reach(Tile& tile, const Scan& task, int row, int column, const uint8_t* rows, const int8_t* codes, Bounds& bounds) {
    const Stages& stages = *task.stages;
    const int64_t stride = stages.groups() * kPanel * kGroup;
    tile.clear();
    for (int stage = 0, from = 0; stage < stages.count; from = stages.end[stage++]) {
        tile.add(rows, codes, stride, from, stages.end[stage]);
        if (stage == 0 && stages.shift != 0) tile.shift(stages.shift);
        bounds.row_half = task.row_half + stage * task.row_half_stride + row;
        bounds.column_half = task.column_half + stage * task.column_half_stride + column;
        if (!tile.any(bounds)) return false;
    }
    return true;
}

template <class Tile>
int probe_with(const Probe& task, Hit* hits) {
    Hit* out = hits;
    const Scan& scan = task.scan;
    const int64_t tile_bytes = int64_t(scan.stages->groups()) * kTileRows * kGroup;
    for (int at = 0; at < task.tile_count; ++at) {
        const int row = task.tiles[at] * kTileRows;
        const auto least = [&](int level) {
            return (level == 0 ? scan.row_least : task.wider + (level - 1) * task.wider_stride) + row;
        };
        Bounds bounds{nullptr, nullptr, least(task.sought), scan.column_least};
        Tile tile;
        int clear = 0;  // levels without a pair
        if (reach(tile, scan, row, 0, scan.rows + task.tiles[at] * tile_bytes, scan.panels, bounds)) {
            bounds.row_least = least(0);
            if (task.sought == 0 || tile.any(bounds)) out = tile.write(bounds, row, 0, out);
            else clear = 1;
        } else {
            clear = task.sought + 1;
        }
        for (; clear > 0 && clear <= task.levels; ++clear) {
            bounds.row_least = least(clear);
            if (tile.any(bounds)) break;
        }
        task.clear[at] = uint8_t(clear);
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
            if (reach(tile, task, row, column, rows, codes, bounds)) out = tile.write(bounds, row, column, out);
        }
    }
    return int(out - hits);
}

}  // namespace shoal
