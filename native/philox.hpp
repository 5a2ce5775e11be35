// Philox4x32, the counter-based generator of Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as
// 1, 2, 3" (SC 2011): one block at a time, and eight at a time.
#pragma once

#include <cstdint>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace dropkit {
// Nothing here may be shared by the linker: the same lines are compiled once for each instruction set.
namespace {

constexpr std::uint32_t multiplier_0 = 0xD2511F53u, multiplier_1 = 0xCD9E8D57u;
constexpr std::uint32_t weyl_0 = 0x9E3779B9u, weyl_1 = 0xBB67AE85u;
constexpr int rounds_7 = 7;  // the authors' smallest Crush-resistant number

struct Key {
    std::uint32_t k0, k1;
};

// The keys of the seven rounds, each in 64 bits so that one load spreads it over a vector.
struct Schedule {
    std::uint64_t k0[rounds_7], k1[rounds_7];

    inline explicit Schedule(Key k) {
        for (int round = 0; round < rounds_7; ++round, k.k0 += weyl_0, k.k1 += weyl_1)
            k0[round] = k.k0, k1[round] = k.k1;
    }
};

struct Block {
    std::uint32_t c0, c1, c2, c3;
};

// The words of some blocks, word by word.
template <int n>
struct BlocksOf {
    static constexpr int count = n;
    alignas(64) std::uint32_t c0[n], c1[n], c2[n], c3[n];
};

using Blocks = BlocksOf<8>;

inline Block philox4x32(Block c, Key k, int rounds) {
    for (int round = 0; round < rounds; ++round, k.k0 += weyl_0, k.k1 += weyl_1) {
        const std::uint64_t p0 = std::uint64_t{multiplier_0} * c.c0;
        const std::uint64_t p1 = std::uint64_t{multiplier_1} * c.c2;
        c = {static_cast<std::uint32_t>(p1 >> 32) ^ c.c1 ^ k.k0, static_cast<std::uint32_t>(p1),
             static_cast<std::uint32_t>(p0 >> 32) ^ c.c3 ^ k.k1, static_cast<std::uint32_t>(p0)};
    }
    return c;
}

#if defined(__AVX2__)

inline __m256i spread(std::uint64_t word) { return _mm256_set1_epi64x(static_cast<long long>(word)); }

// By hand: compilers widen eight 32-bit products with a dozen shuffles a round and take 2.5 times as long. Here
// even and odd counters lie in 64-bit lanes, whose upper halves may hold anything: a product never reads them.
struct Lanes {
    __m256i c0, c1, c2, c3;

    inline void turn(__m256i k0, __m256i k1) {
        const __m256i p0 = _mm256_mul_epu32(c0, spread(multiplier_0));
        const __m256i p1 = _mm256_mul_epu32(c2, spread(multiplier_1));
        c0 = _mm256_xor_si256(_mm256_srli_epi64(p1, 32), _mm256_xor_si256(c1, k0));
        c2 = _mm256_xor_si256(_mm256_srli_epi64(p0, 32), _mm256_xor_si256(c3, k1));
        c1 = p1;
        c3 = p0;
    }
};

inline __m256i load(const std::uint32_t *words) {
    return _mm256_load_si256(reinterpret_cast<const __m256i *>(words));
}

inline __m256i odd(__m256i words) { return _mm256_srli_epi64(words, 32); }

inline void store(std::uint32_t *words, __m256i even, __m256i odd) {
    const __m256i both = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
    _mm256_store_si256(reinterpret_cast<__m256i *>(words), both);
}

inline void philox4x32(Blocks &b, const Schedule &keys) {
    Lanes e{load(b.c0), load(b.c1), load(b.c2), load(b.c3)};
    Lanes o{odd(e.c0), odd(e.c1), odd(e.c2), odd(e.c3)};
    for (int round = 0; round < rounds_7; ++round) {
        const __m256i k0 = spread(keys.k0[round]), k1 = spread(keys.k1[round]);
        e.turn(k0, k1);
        o.turn(k0, k1);
    }
    store(b.c0, e.c0, o.c0);
    store(b.c1, e.c1, o.c1);
    store(b.c2, e.c2, o.c2);
    store(b.c3, e.c3, o.c3);
}

#if defined(__AVX512F__)

inline __m512i spread_wide(std::uint64_t word) { return _mm512_set1_epi64(static_cast<long long>(word)); }

// The same, twice as wide.
struct WideLanes {
    __m512i c0, c1, c2, c3;

    inline void turn(__m512i k0, __m512i k1) {
        const __m512i p0 = _mm512_mul_epu32(c0, spread_wide(multiplier_0));
        const __m512i p1 = _mm512_mul_epu32(c2, spread_wide(multiplier_1));
        c0 = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p1, 32), c1, k0, 0x96);  // the xor of three
        c2 = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p0, 32), c3, k1, 0x96);
        c1 = p1;
        c3 = p0;
    }
};

inline void store(std::uint32_t *words, __m512i even, __m512i odd) {
    _mm512_store_si512(words, _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32)));
}

inline void philox4x32(BlocksOf<16> &b, const Schedule &keys) {
    const auto load = [](const std::uint32_t *words) { return _mm512_load_si512(words); };
    const auto odd = [](__m512i words) { return _mm512_srli_epi64(words, 32); };
    WideLanes e{load(b.c0), load(b.c1), load(b.c2), load(b.c3)};
    WideLanes o{odd(e.c0), odd(e.c1), odd(e.c2), odd(e.c3)};
    for (int round = 0; round < rounds_7; ++round) {
        const __m512i k0 = spread_wide(keys.k0[round]), k1 = spread_wide(keys.k1[round]);
        e.turn(k0, k1);
        o.turn(k0, k1);
    }
    store(b.c0, e.c0, o.c0);
    store(b.c1, e.c1, o.c1);
    store(b.c2, e.c2, o.c2);
    store(b.c3, e.c3, o.c3);
}

#endif

#else

inline void philox4x32(Blocks &b, const Schedule &keys) {
    const Key k{static_cast<std::uint32_t>(keys.k0[0]), static_cast<std::uint32_t>(keys.k1[0])};
    for (int i = 0; i < Blocks::count; ++i) {
        const Block c = philox4x32(Block{b.c0[i], b.c1[i], b.c2[i], b.c3[i]}, k, rounds_7);
        b.c0[i] = c.c0, b.c1[i] = c.c1, b.c2[i] = c.c2, b.c3[i] = c.c3;
    }
}

#endif

}  // namespace
}  // namespace dropkit
