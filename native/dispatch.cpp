#include "dispatch.hpp"

#include <atomic>
#include <random>
#include <vector>

#if defined(SHOAL_NEON) && defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(SHOAL_NEON) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace shoal {
namespace {

// Distances found in a small random scan, with numbers small enough for all kernels.
std::vector<int32_t> trial(const Kernels& version) {
    constexpr int kGroups = 4, kPanels = 4, kRowCount = 8;
    std::mt19937 random(7);
    std::vector<uint8_t> rows(kRowCount * kGroups * kGroup);
    std::vector<int8_t> panels(kPanels * kGroups * kPanel * kGroup);
    for (auto& value : rows) value = uint8_t(int(random() % 127) - 63 + version.offset);
    for (auto& value : panels) value = int8_t(int(random() % 127) - 63);
    Stages stages;
    stages.count = 2;
    stages.end[0] = 2;
    stages.end[1] = kGroups;
    stages.shift = 2;
    // The offset adds offset * (4 * first half + second half) of each column to its products.
    std::vector<int32_t> row_half(2 * kRowCount, 0), column_half(2 * kPanels * kPanel, 0);
    for (int column = 0; column < kPanels * kPanel; ++column) {
        const int8_t* codes = panels.data() + (column / kPanel) * kGroups * kPanel * kGroup + (column % kPanel) * kGroup;
        int32_t sums[2] = {0, 0};
        for (int group = 0; group < kGroups; ++group)
            for (int byte = 0; byte < kGroup; ++byte) sums[group / 2] += codes[group * kPanel * kGroup + byte];
        column_half[column] = version.offset * sums[0];
        column_half[kPanels * kPanel + column] = version.offset * (4 * sums[0] + sums[1]);
    }
    const std::vector<int32_t> least(kPanels * kPanel, -1 << 29);
    std::vector<int32_t> scores(kRowCount * kPanels * kPanel, 1);
    std::vector<Hit> hits(scores.size());
    for (int panel = 0; panel < kPanels; panel += version.panels_a_call) {
        const int first = panel * kPanel;
        const Scan scan{&stages, rows.data(), kRowCount, panels.data() + panel * kGroups * kPanel * kGroup,
                        version.panels_a_call, row_half.data(), kRowCount, column_half.data() + first,
                        kPanels * kPanel, least.data(), least.data()};
        const int found = version.scan(scan, hits.data());
        for (int hit = 0; hit < found; ++hit)
            scores[hits[hit].row * kPanels * kPanel + first + hits[hit].column] = hits[hit].score;
    }
    return scores;
}

bool trusted(const Kernels& version) { return trial(version) == trial(kPortable); }

#if defined(SHOAL_NEON)
// The dot product was introduced with ARMv8.2: a Raspberry Pi 4 lacks it.
bool has_dot_product() {
#if defined(__APPLE__)
    int has = 0;
    size_t size = sizeof has;
    // Systems before macOS 12 do not report it, and ran on no ARM processor without it.
    return sysctlbyname("hw.optional.arm.FEAT_DotProd", &has, &size, nullptr, 0) != 0 || has != 0;
#elif defined(__linux__)
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
    return false;  // no way to detect it
#endif
}
#endif

std::vector<const Kernels*> find() {
    std::vector<const Kernels*> versions;
#if defined(SHOAL_X86)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
        versions.push_back(&kVnni);
    if (__builtin_cpu_supports("avx2")) versions.push_back(&kAvx2);
#endif
#if defined(SHOAL_NEON)
    if (has_dot_product()) versions.push_back(&kNeon);
#endif
    std::erase_if(versions, [](const Kernels* version) { return !trusted(*version); });
    versions.push_back(&kPortable);
    return versions;
}

std::atomic<const Kernels*> chosen{nullptr};

}  // namespace

const std::vector<const Kernels*>& available_kernels() {
    static const std::vector<const Kernels*> found = find();
    return found;
}

const Kernels& kernels() {
    const Kernels* own = chosen.load(std::memory_order_acquire);
    return own != nullptr ? *own : *available_kernels().front();
}

bool use_kernels(std::string_view name) {
    for (const Kernels* version : available_kernels())
        if (name == version->name) {
            chosen.store(version, std::memory_order_release);
            return true;
        }
    return false;
}

}  // namespace shoal
