#if defined(SHOAL_X86)
#include <immintrin.h>

#include "scan_loop.hpp"

namespace shoal {
namespace {

inline __m256i load(const int32_t* values) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values)); }

inline __m256i spread(const uint8_t* bytes) {
    int32_t word;
    __builtin_memcpy(&word, bytes, 4);
    return _mm256_set1_epi32(word);
}

// Products of values 1..127 and -63..63: two of them, and the sum of two such pairs, fit 16 bits.
struct Tile {
    static constexpr int kPanels = 1;
    __m256i sums[kTileRows][2];

    void clear() {
        for (auto& row : sums) row[0] = row[1] = _mm256_setzero_si256();
    }

    void shift(int bits) {
        for (auto& row : sums)
            for (auto& part : row) part = _mm256_slli_epi32(part, bits);
    }

    void add(const uint8_t* rows, const int8_t* panel, int64_t, int from, int to) {
        const __m256i ones = _mm256_set1_epi16(1);
        __m256i acc[kTileRows][2];
        for (int row = 0; row < kTileRows; ++row)
            for (int part = 0; part < 2; ++part) acc[row][part] = sums[row][part];
        const uint8_t* a = rows + int64_t(from) * kTileRows * kGroup;
        const __m256i* b = reinterpret_cast<const __m256i*>(panel + int64_t(from) * kPanel * kGroup);
        for (int group = from; group < to; group += 2, a += 2 * kTileRows * kGroup, b += 4) {
            const __m256i b00 = _mm256_loadu_si256(b), b01 = _mm256_loadu_si256(b + 1);
            const __m256i b10 = _mm256_loadu_si256(b + 2), b11 = _mm256_loadu_si256(b + 3);
#pragma GCC unroll 4
            for (int row = 0; row < kTileRows; ++row) {
                const __m256i a0 = spread(a + kGroup * row), a1 = spread(a + kGroup * (kTileRows + row));
                __m256i sum = _mm256_add_epi16(_mm256_maddubs_epi16(a0, b00), _mm256_maddubs_epi16(a1, b10));
                acc[row][0] = _mm256_add_epi32(acc[row][0], _mm256_madd_epi16(sum, ones));
                sum = _mm256_add_epi16(_mm256_maddubs_epi16(a0, b01), _mm256_maddubs_epi16(a1, b11));
                acc[row][1] = _mm256_add_epi32(acc[row][1], _mm256_madd_epi16(sum, ones));
#if defined(__GNUC__)
                // Row by row: interleaved, they need more registers than there are.
                __asm__("" : "+x"(acc[row][0]), "+x"(acc[row][1]));
#endif
            }
        }
        for (int row = 0; row < kTileRows; ++row)
            for (int part = 0; part < 2; ++part) sums[row][part] = acc[row][part];
    }

    __m256i score(const Bounds& bounds, int row, int part) const {
        const __m256i half = _mm256_add_epi32(load(bounds.column_half + 8 * part), _mm256_set1_epi32(bounds.row_half[row]));
        return _mm256_sub_epi32(sums[row][part], half);
    }

    // All bits set in the lanes without a hit.
    static __m256i missed(const Bounds& bounds, __m256i score, int row, int part) {
        const __m256i least = _mm256_min_epi32(load(bounds.column_least + 8 * part), _mm256_set1_epi32(bounds.row_least[row]));
        return _mm256_cmpgt_epi32(least, score);
    }

    bool any(const Bounds& bounds) const {
        __m256i all = _mm256_set1_epi32(-1);
        for (int row = 0; row < kTileRows; ++row)
            for (int part = 0; part < 2; ++part)
                all = _mm256_and_si256(all, missed(bounds, score(bounds, row, part), row, part));
        return _mm256_movemask_epi8(all) != -1;
    }

    Hit* write(const Bounds& bounds, int first_row, int first_column, Hit* out) const {
        alignas(32) int32_t scores[8];
        for (int row = 0; row < kTileRows; ++row)
            for (int part = 0; part < 2; ++part) {
                const __m256i own = score(bounds, row, part);
                unsigned hits =
                    0xffu & ~unsigned(_mm256_movemask_ps(_mm256_castsi256_ps(missed(bounds, own, row, part))));
                if (hits == 0) continue;
                _mm256_store_si256(reinterpret_cast<__m256i*>(scores), own);
                for (; hits != 0; hits &= hits - 1) {
                    const int lane = __builtin_ctz(hits);
                    *out++ = {first_row + row, first_column + 8 * part + lane, scores[lane]};
                }
            }
        return out;
    }
};

double square_distance(const float* left, const float* right, int64_t dimensions) {
    __m256d low = _mm256_setzero_pd(), high = _mm256_setzero_pd();
    int64_t at = 0;
    for (; at + 8 <= dimensions; at += 8) {
        const __m256d first =
            _mm256_sub_pd(_mm256_cvtps_pd(_mm_loadu_ps(left + at)), _mm256_cvtps_pd(_mm_loadu_ps(right + at)));
        const __m256d second =
            _mm256_sub_pd(_mm256_cvtps_pd(_mm_loadu_ps(left + at + 4)), _mm256_cvtps_pd(_mm_loadu_ps(right + at + 4)));
        low = _mm256_add_pd(low, _mm256_mul_pd(first, first));
        high = _mm256_add_pd(high, _mm256_mul_pd(second, second));
    }
    alignas(32) double sums[8];
    _mm256_store_pd(sums, low);
    _mm256_store_pd(sums + 4, high);
    for (int lane = 0; at < dimensions; ++at, ++lane) {
        const double difference = double(left[at]) - double(right[at]);
        sums[lane] += difference * difference;
    }
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

}  // namespace

// One panel per call, so that tightened thresholds apply to the next.
const Kernels kAvx2 = {"AVX2", 63, 64, Tile::kPanels, scan_with<Tile>, probe_with<Tile>, square_distance};

}  // namespace shoal
#endif
