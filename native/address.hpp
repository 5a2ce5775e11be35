// The address of a draw, as core/address.py has it: which half-words of which blocks decide about a group.
#pragma once

#include <cstring>

#include "philox.hpp"

namespace dropkit {

// A group is dropped iff its u, a whole number below 2^32, is below the threshold, which may be 2^32.
struct Coin {
    std::uint64_t key;
    std::uint32_t call, stream;
    std::uint64_t threshold;
};

constexpr int tile_size = 64;         // groups that share eight blocks
constexpr int second_tile_size = 32;  // the same of second uniforms, a word each

namespace {

enum Lane : std::uint32_t { high_halves = 0, low_halves = 1, second_words = 2 };

using Mask = std::uint32_t;  // all ones where dropped: as wide as a float, so that selecting needs no unpacking
constexpr Mask all_ones = ~Mask{0};

#if defined(__AVX512F__)
constexpr int tiles_at_once = 2;  // where many are wanted: as many as fill a vector of counters
#else
constexpr int tiles_at_once = 1;
#endif

inline void split(const std::uint32_t *words, std::uint32_t *halves) {
    for (int i = 0; i < Blocks::count; ++i) {
        halves[i] = words[i] & 0xFFFF;
        halves[Blocks::count + i] = words[i] >> 16;
    }
}

// The half-words of some tiles in the order of their groups.
template <int n>
struct HalvesOf {
    alignas(64) std::uint32_t at[n / Blocks::count * tile_size];

    inline explicit HalvesOf(const BlocksOf<n> &b) {
        for (int i = 0; i < n / Blocks::count; ++i) {
            std::uint32_t *to = at + i * tile_size;
            split(b.c0 + i * Blocks::count, to);
            split(b.c1 + i * Blocks::count, to + 16);
            split(b.c2 + i * Blocks::count, to + 32);
            split(b.c3 + i * Blocks::count, to + 48);
        }
    }
};

using Halves = HalvesOf<Blocks::count>;

inline std::uint32_t half_of(const Blocks &b, int i, std::uint64_t group) {
    const auto place = static_cast<std::uint32_t>(group % tile_size) / Blocks::count;
    const std::uint32_t front = place < 2 ? b.c0[i] : b.c1[i], back = place < 6 ? b.c2[i] : b.c3[i];
    const std::uint32_t word = place < 4 ? front : back;
    return place % 2 ? word >> 16 : word & 0xFFFF;
}

#if defined(__AVX512F__)
// Decisions of two tiles as bits, sixteen groups a word: what mask registers take.
struct SixteenBits {
    static constexpr int count = 8;
    std::uint16_t of[count];
};
#endif

// Tells which groups a coin drops. A high half decides alone; the low half is drawn only where the high one ties.
class Decider {
  public:
    inline explicit Decider(const Coin &coin)
        : keys({static_cast<std::uint32_t>(coin.key), static_cast<std::uint32_t>(coin.key >> 32)}), call(coin.call),
          stream(coin.stream), limit(static_cast<std::int32_t>(coin.threshold >> 16)),
          rest(static_cast<std::int32_t>(coin.threshold & 0xFFFF)) {}

    // The groups 64 * tile ... of one tile, or of `tiles` that follow one another.
    template <int tiles = 1>
    inline void tile(std::uint64_t tile, Mask *dropped) const {
        constexpr int blocks = tiles * Blocks::count, groups = tiles * tile_size;
        const HalvesOf<blocks> high(tile_blocks<blocks>(tile, high_halves));
        if (!compare(high.at, dropped, groups)) return;
        const HalvesOf<blocks> low(tile_blocks<blocks>(tile, low_halves));
        for (int i = 0; i < groups; ++i) settle(high.at[i], low.at[i], dropped[i]);
    }

#if defined(__AVX512F__)
    // Two tiles, the number of the first even.
    inline SixteenBits bits(std::uint64_t tile_number) const {
        const BlocksOf<16> drawn = tile_blocks<16>(tile_number, high_halves);
        const std::uint32_t *words[] = {drawn.c0, drawn.c1, drawn.c2, drawn.c3};
        const __m512i below = _mm512_set1_epi32(limit), low_bits = _mm512_set1_epi32(0xFFFF);
        SixteenBits dropped;
        unsigned tie = 0;
        for (int i = 0; i < 4; ++i) {
            const __m512i word = _mm512_load_si512(words[i]);
            const __m512i front = _mm512_and_si512(word, low_bits), back = _mm512_srli_epi32(word, 16);
            const unsigned first = _mm512_cmplt_epi32_mask(front, below), then = _mm512_cmplt_epi32_mask(back, below);
            tie |= _mm512_cmpeq_epi32_mask(front, below) | _mm512_cmpeq_epi32_mask(back, below);
            dropped.of[i] = static_cast<std::uint16_t>((first & 0xFF) | (then & 0xFF) << 8);
            dropped.of[4 + i] = static_cast<std::uint16_t>(first >> 8 | (then & 0xFF00));
        }
        return rest && tie ? settled(tile_number) : dropped;
    }
#endif

    // Any eight groups.
    inline void eight(const std::uint64_t *groups, Mask *dropped) const {
        const Blocks high = blocks_of(groups, high_halves);
        std::uint32_t halves[Blocks::count];
        for (int i = 0; i < Blocks::count; ++i) halves[i] = half_of(high, i, groups[i]);
        if (!compare(halves, dropped, Blocks::count)) return;
        const Blocks low = blocks_of(groups, low_halves);
        for (int i = 0; i < Blocks::count; ++i) settle(halves[i], half_of(low, i, groups[i]), dropped[i]);
    }

    // u of the groups 64 * tile ... 64 * tile + 63, in 32 bits.
    inline void words(std::uint64_t tile, std::uint32_t *u) const {
        const Halves high(tile_blocks(tile, high_halves)), low(tile_blocks(tile, low_halves));
        for (int i = 0; i < tile_size; ++i) u[i] = high.at[i] << 16 | low.at[i];
    }

    // Their second uniforms.
    inline void seconds(std::uint64_t tile, std::uint32_t *u) const {
        for (std::uint64_t half = 0; half < 2; ++half, u += second_tile_size) {
            const Blocks b = tile_blocks(2 * tile + half, second_words);
            std::memcpy(u, b.c0, sizeof b.c0), std::memcpy(u + 8, b.c1, sizeof b.c1);
            std::memcpy(u + 16, b.c2, sizeof b.c2), std::memcpy(u + 24, b.c3, sizeof b.c3);
        }
    }

    // u of the groups 64 * tile ... 64 * tile + 63.
    inline void uniform(std::uint64_t tile, std::int64_t *u) const {
        const Halves high(tile_blocks(tile, high_halves)), low(tile_blocks(tile, low_halves));
        for (int i = 0; i < tile_size; ++i) u[i] = static_cast<std::int64_t>(high.at[i] << 16 | low.at[i]);
    }

    // The second uniforms of the groups 32 * tile ... 32 * tile + 31.
    inline void second(std::uint64_t tile, std::int64_t *u) const {
        const Blocks b = tile_blocks(tile, second_words);
        for (int i = 0; i < Blocks::count; ++i) {
            u[i] = b.c0[i], u[Blocks::count + i] = b.c1[i];
            u[2 * Blocks::count + i] = b.c2[i], u[3 * Blocks::count + i] = b.c3[i];
        }
    }

  private:
#if defined(__AVX512F__)
    __attribute__((noinline)) SixteenBits settled(std::uint64_t tile_number) const {
        Mask words[2 * tile_size];
        tile<2>(tile_number, words);
        SixteenBits dropped{};
        for (int i = 0; i < 2 * tile_size; ++i)
            dropped.of[i / 16] |= static_cast<std::uint16_t>((words[i] & 1) << i % 16);
        return dropped;
    }
#endif

    // Halves are below 2^16, so signed comparisons do, which every instruction set has. Returns whether a half ties.
    inline bool compare(const std::uint32_t *halves, Mask *dropped, int count) const {
        const std::int32_t below = limit;
        for (int i = 0; i < count; ++i) dropped[i] = static_cast<std::int32_t>(halves[i]) < below ? all_ones : 0;
        if (!rest) return false;
        Mask tie = 0;
        for (int i = 0; i < count; ++i) tie |= static_cast<std::int32_t>(halves[i]) == below ? all_ones : 0;
        return tie != 0;
    }

    inline void settle(std::uint32_t high, std::uint32_t low, Mask &dropped) const {
        if (static_cast<std::int32_t>(high) == limit && static_cast<std::int32_t>(low) < rest) dropped = all_ones;
    }

    template <int n = Blocks::count>
    inline BlocksOf<n> tile_blocks(std::uint64_t tile, Lane lane) const {
        const std::uint64_t first = Blocks::count * tile;
        BlocksOf<n> b;
        for (int i = 0; i < n; ++i) {
            b.c0[i] = static_cast<std::uint32_t>(first) + static_cast<std::uint32_t>(i);
            // Tiles are handed out together only where the first one's number is even, so none carries.
            b.c1[i] = static_cast<std::uint32_t>(first >> 32) | lane << 30;
        }
        return finish(b);
    }

    inline Blocks blocks_of(const std::uint64_t *groups, Lane lane) const {
        Blocks b;
        for (int i = 0; i < Blocks::count; ++i) {
            const std::uint64_t block = groups[i] / tile_size * Blocks::count + groups[i] % Blocks::count;
            b.c0[i] = static_cast<std::uint32_t>(block);
            b.c1[i] = static_cast<std::uint32_t>(block >> 32) | lane << 30;
        }
        return finish(b);
    }

    template <int n>
    inline BlocksOf<n> &finish(BlocksOf<n> &b) const {
        for (int i = 0; i < n; ++i) b.c2[i] = call, b.c3[i] = stream;
        philox4x32(b, keys);
        return b;
    }

    Schedule keys;
    std::uint32_t call, stream;
    std::int32_t limit, rest;
};

}  // namespace
}  // namespace dropkit
