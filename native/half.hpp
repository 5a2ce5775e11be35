// The 16-bit types: kept as they are, computed in float, rounded to nearest even.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace dropkit {

struct Half {  // IEEE binary16
    std::uint16_t bits;
};
struct BFloat {  // bfloat16: the upper half of a float
    std::uint16_t bits;
};

// The type that arithmetic happens in.
template <class T>
struct Wide {
    using type = T;
};
template <>
struct Wide<Half> {
    using type = float;
};
template <>
struct Wide<BFloat> {
    using type = float;
};

namespace {

inline float float_of(std::uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline std::uint32_t bits_of_float(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline float widen(float x) { return x; }
inline double widen(double x) { return x; }
inline float widen(BFloat x) { return float_of(static_cast<std::uint32_t>(x.bits) << 16); }

// By bits and without branches, so that every compiler makes vectors of it.
inline float widen(Half x) {
    const std::uint32_t sign = (x.bits & 0x8000u) << 16, rest = x.bits & 0x7FFFu;
    const std::uint32_t normal = (rest << 13) + (112u << 23);
    const std::uint32_t small = bits_of_float(static_cast<float>(static_cast<std::int32_t>(rest)) * 0x1p-24f);
    const std::uint32_t special = rest << 13 | 0x7F800000u;
    const std::uint32_t finite = rest < 0x400u ? small : normal;
    return float_of(sign | (rest >= 0x7C00u ? special : finite));
}

template <class T>
inline T narrow(typename Wide<T>::type x) {
    return x;
}

template <>
inline BFloat narrow<BFloat>(float x) {
    const std::uint32_t bits = bits_of_float(x);
    const std::uint32_t rounded = (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16;
    return {static_cast<std::uint16_t>((bits & 0x7FFFFFFFu) > 0x7F800000u ? 0x7FC0u : rounded)};
}

template <>
inline Half narrow<Half>(float x) {
    const std::uint32_t bits = bits_of_float(x), sign = bits >> 16 & 0x8000u, rest = bits & 0x7FFFFFFFu;
    const std::uint32_t normal = (rest - (112u << 23) + 0xFFFu + (rest >> 13 & 1u)) >> 13;
    // Adding 0.5 brings the last bit of a small half to the last bit of the float, where the adder rounds it.
    const std::uint32_t small = bits_of_float(float_of(rest) + 0.5f) - bits_of_float(0.5f);
    const std::uint32_t finite = rest < 0x38800000u ? small : normal;  // 2^-14
    const std::uint32_t large = rest > 0x7F800000u ? 0x7E00u : 0x7C00u;
    return {static_cast<std::uint16_t>(sign | (rest >= 0x477FF000u ? large : finite))};  // 65520
}

// Rows of neighbours: conversions in a pass of their own become vectors, between other work they do not.
template <class T>
inline void widen_row(const T *from, float *to, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) to[i] = widen(from[i]);
}

template <class T>
inline void narrow_row(const float *from, T *to, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) to[i] = narrow<T>(from[i]);
}

#if defined(__F16C__)
inline void widen_row(const Half *from, float *to, std::int64_t count) {
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8)
        _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from + i))));
    for (; i < count; ++i) to[i] = widen(from[i]);
}

inline void narrow_row(const float *from, Half *to, std::int64_t count) {
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8)
        _mm_storeu_si128(reinterpret_cast<__m128i *>(to + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    for (; i < count; ++i) to[i] = narrow<Half>(from[i]);
}
#endif

}  // namespace
}  // namespace dropkit
