#if defined(SHOAL_X86)
#include <immintrin.h>

#include "scan_loop.hpp"

namespace shoal {
namespace {

inline __m512i load(const void* values) { return _mm512_loadu_si512(values); }

inline __m512i spread(const uint8_t* bytes) {
    int32_t word;
    __builtin_memcpy(&word, bytes, 4);
    return _mm512_set1_epi32(word);
}

// Sums four bytes per lane into 32 bits: values 1..255 and -127..127 cannot overflow.
struct Tile {
    static constexpr int kPanels = 4;
    __m512i sums[kTileRows][kPanels];

    void clear() {
        for (auto& row : sums)
            for (auto& part : row) part = _mm512_setzero_si512();
    }

    void shift(int bits) {
        for (auto& row : sums)
            for (auto& part : row) part = _mm512_sll_epi32(part, _mm_cvtsi32_si128(bits));
    }

    void add(const uint8_t* rows, const int8_t* panels, int64_t stride, int from, int to) {
        __m512i acc[kTileRows][kPanels];
        for (int row = 0; row < kTileRows; ++row)
            for (int part = 0; part < kPanels; ++part) acc[row][part] = sums[row][part];
        for (int group = from; group < to; ++group) {
            const uint8_t* a = rows + int64_t(group) * kTileRows * kGroup;
            const int8_t* b = panels + int64_t(group) * kPanel * kGroup;
            const __m512i own[kPanels] = {load(b), load(b + stride), load(b + 2 * stride), load(b + 3 * stride)};
#pragma GCC unroll 4
            for (int row = 0; row < kTileRows; ++row) {
                const __m512i word = spread(a + kGroup * row);
#pragma GCC unroll 4
                for (int part = 0; part < kPanels; ++part)
                    acc[row][part] = _mm512_dpbusd_epi32(acc[row][part], word, own[part]);
            }
        }
        for (int row = 0; row < kTileRows; ++row)
            for (int part = 0; part < kPanels; ++part) sums[row][part] = acc[row][part];
    }

    __m512i score(const Bounds& bounds, int row, int part) const {
        const __m512i half =
            _mm512_add_epi32(load(bounds.column_half + kPanel * part), _mm512_set1_epi32(bounds.row_half[row]));
        return _mm512_sub_epi32(sums[row][part], half);
    }

    static __mmask16 hits(const Bounds& bounds, __m512i score, int row, int part) {
        const __m512i least =
            _mm512_min_epi32(load(bounds.column_least + kPanel * part), _mm512_set1_epi32(bounds.row_least[row]));
        return _mm512_cmpge_epi32_mask(score, least);
    }

    bool any(const Bounds& bounds) const {
        unsigned found = 0;
        for (int row = 0; row < kTileRows; ++row)
            for (int part = 0; part < kPanels; ++part) found |= hits(bounds, score(bounds, row, part), row, part);
        return found != 0;
    }

    Hit* write(const Bounds& bounds, int first_row, int first_column, Hit* out) const {
        alignas(64) int32_t scores[kPanel];
        for (int row = 0; row < kTileRows; ++row)
            for (int part = 0; part < kPanels; ++part) {
                const __m512i own = score(bounds, row, part);
                unsigned found = hits(bounds, own, row, part);
                if (found == 0) continue;
                _mm512_store_si512(scores, own);
                for (; found != 0; found &= found - 1) {
                    const int lane = __builtin_ctz(found);
                    *out++ = {first_row + row, first_column + kPanel * part + lane, scores[lane]};
                }
            }
        return out;
    }
};

double square_distance(const float* left, const float* right, int64_t dimensions) {
    __m512d sum = _mm512_setzero_pd();
    int64_t at = 0;
    for (; at + 8 <= dimensions; at += 8) {
        const __m512d difference = _mm512_sub_pd(
            _mm512_cvtps_pd(_mm256_loadu_ps(left + at)), _mm512_cvtps_pd(_mm256_loadu_ps(right + at)));
        sum = _mm512_add_pd(sum, _mm512_mul_pd(difference, difference));
    }
    alignas(64) double sums[8];
    _mm512_store_pd(sums, sum);
    for (int lane = 0; at < dimensions; ++at, ++lane) {
        const double difference = double(left[at]) - double(right[at]);
        sums[lane] += difference * difference;
    }
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

}  // namespace

const Kernels kVnni = {"AVX-512 VNNI", 127, 128, Tile::kPanels, scan_with<Tile>, probe_with<Tile>, square_distance};

}  // namespace shoal
#endif
