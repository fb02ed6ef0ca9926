#if defined(SHOAL_NEON)
#include <arm_neon.h>

#include "scan_loop.hpp"

namespace shoal {
namespace {

// Rows are packed without an offset: the products are of signed bytes.
struct Tile {
    static constexpr int kPanels = 1;
    static constexpr int kParts = 4;
    int32x4_t sums[kTileRows][kParts];

    void clear() {
        for (auto& row : sums)
            for (auto& part : row) part = vdupq_n_s32(0);
    }

    void shift(int bits) {
        for (auto& row : sums)
            for (auto& part : row) part = vshlq_s32(part, vdupq_n_s32(bits));
    }

    void add(const uint8_t* rows, const int8_t* panel, int64_t, int from, int to) {
        for (int group = from; group < to; ++group) {
            const int8x16_t a = vreinterpretq_s8_u8(vld1q_u8(rows + int64_t(group) * kTileRows * kGroup));
            const int8_t* b = panel + int64_t(group) * kPanel * kGroup;
            for (int part = 0; part < kParts; ++part) {
                const int8x16_t own = vld1q_s8(b + 16 * part);
                sums[0][part] = vdotq_laneq_s32(sums[0][part], own, a, 0);
                sums[1][part] = vdotq_laneq_s32(sums[1][part], own, a, 1);
                sums[2][part] = vdotq_laneq_s32(sums[2][part], own, a, 2);
                sums[3][part] = vdotq_laneq_s32(sums[3][part], own, a, 3);
            }
        }
    }

    int32x4_t score(const Bounds& bounds, int row, int part) const {
        const int32x4_t half = vaddq_s32(vld1q_s32(bounds.column_half + 4 * part), vdupq_n_s32(bounds.row_half[row]));
        return vsubq_s32(sums[row][part], half);
    }

    static uint32x4_t hits(const Bounds& bounds, int32x4_t score, int row, int part) {
        const int32x4_t least = vminq_s32(vld1q_s32(bounds.column_least + 4 * part), vdupq_n_s32(bounds.row_least[row]));
        return vcgeq_s32(score, least);
    }

    bool any(const Bounds& bounds) const {
        uint32x4_t found = vdupq_n_u32(0);
        for (int row = 0; row < kTileRows; ++row)
            for (int part = 0; part < kParts; ++part)
                found = vorrq_u32(found, hits(bounds, score(bounds, row, part), row, part));
        return vmaxvq_u32(found) != 0;
    }

    Hit* write(const Bounds& bounds, int first_row, int first_column, Hit* out) const {
        for (int row = 0; row < kTileRows; ++row)
            for (int part = 0; part < kParts; ++part) {
                const int32x4_t own = score(bounds, row, part);
                const uint32x4_t found = hits(bounds, own, row, part);
                if (vmaxvq_u32(found) == 0) continue;
                int32_t scores[4];
                uint32_t flags[4];
                vst1q_s32(scores, own);
                vst1q_u32(flags, found);
                for (int lane = 0; lane < 4; ++lane)
                    if (flags[lane] != 0) *out++ = {first_row + row, first_column + 4 * part + lane, scores[lane]};
            }
        return out;
    }
};

double square_distance(const float* left, const float* right, int64_t dimensions) {
    float64x2_t parts[4] = {vdupq_n_f64(0), vdupq_n_f64(0), vdupq_n_f64(0), vdupq_n_f64(0)};
    int64_t at = 0;
    for (; at + 8 <= dimensions; at += 8)
        for (int part = 0; part < 4; ++part) {
            const float64x2_t difference = vsubq_f64(
                vcvt_f64_f32(vld1_f32(left + at + 2 * part)), vcvt_f64_f32(vld1_f32(right + at + 2 * part)));
            parts[part] = vaddq_f64(parts[part], vmulq_f64(difference, difference));
        }
    double sums[8];
    for (int part = 0; part < 4; ++part) vst1q_f64(sums + 2 * part, parts[part]);
    for (int lane = 0; at < dimensions; ++at, ++lane) {
        const double difference = double(left[at]) - double(right[at]);
        sums[lane] += difference * difference;
    }
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

}  // namespace

const Kernels kNeon = {"NEON", 127, 0, Tile::kPanels, scan_with<Tile>, probe_with<Tile>, square_distance};

}  // namespace shoal
#endif
