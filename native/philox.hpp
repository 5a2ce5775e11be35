// Philox4x32, the counter-based generator of Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as
// 1, 2, 3" (SC 2011), written so that a loop over counters vectorises.
#pragma once

#include <cstdint>

namespace dropkit {

constexpr std::uint32_t philox_multiplier_0 = 0xD2511F53u;
constexpr std::uint32_t philox_multiplier_1 = 0xCD9E8D57u;
constexpr std::uint32_t philox_weyl_0 = 0x9E3779B9u;
constexpr std::uint32_t philox_weyl_1 = 0xBB67AE85u;
constexpr int philox_rounds = 7;

struct Key {
    std::uint32_t low, high;

    explicit constexpr Key(std::uint64_t bits)
        : low(static_cast<std::uint32_t>(bits)), high(static_cast<std::uint32_t>(bits >> 32)) {}
};

// One block in place: c0..c3 hold the counter before and the four random words after.
inline void philox4x32(std::uint32_t &c0, std::uint32_t &c1, std::uint32_t &c2, std::uint32_t &c3, Key key,
                       int rounds) {
    for (int round = 0; round < rounds; ++round) {
        const std::uint64_t product_0 = static_cast<std::uint64_t>(philox_multiplier_0) * c0;
        const std::uint64_t product_1 = static_cast<std::uint64_t>(philox_multiplier_1) * c2;
        c0 = static_cast<std::uint32_t>(product_1 >> 32) ^ c1 ^ key.low;
        c1 = static_cast<std::uint32_t>(product_1);
        c2 = static_cast<std::uint32_t>(product_0 >> 32) ^ c3 ^ key.high;
        c3 = static_cast<std::uint32_t>(product_0);
        key.low += philox_weyl_0;
        key.high += philox_weyl_1;
    }
}

}  // namespace dropkit
