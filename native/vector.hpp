// Vectors of floats, as wide as the instruction set has them, and what attention does with them.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace dropkit {
namespace {

#if defined(__AVX512F__)
constexpr int lanes = 16, tile_rows = 12;
#elif defined(__AVX2__)
constexpr int lanes = 8, tile_rows = 6;
#else
constexpr int lanes = 4, tile_rows = 6;
#endif
constexpr int tile_columns = 2 * lanes;  // of a product: with tile_rows it fills the registers

typedef float Vector __attribute__((vector_size(lanes * 4)));
typedef std::int32_t Words __attribute__((vector_size(lanes * 4)));

inline Vector load(const float *from) {
    Vector v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

inline void store(float *to, Vector v) { std::memcpy(to, &v, sizeof v); }

// Minus zero, and not plus: that is x itself for -0 too, so no compiler computes it.
inline Vector spread(float x) { return x - Vector{}; }

// e^r for |r| <= log(2) / 2.
inline Vector exponential_of_rest(Vector r) {
    Vector p = spread(1.9875691500e-4f);
    p = p * r + spread(1.3981999507e-3f);
    p = p * r + spread(8.3334519073e-3f);
    p = p * r + spread(4.1665795894e-2f);
    p = p * r + spread(1.6666665459e-1f);
    p = p * r + spread(5.0000001201e-1f);
    return p * r * r + r + spread(1.0f);
}

// Of a NaN and a number either may come out.
#if defined(__AVX512F__)

inline Vector larger(Vector a, Vector b) { return _mm512_max_ps(a, b); }

// e^x for x <= 0, within 2 ulp; 0 below -87, where a float is no longer normal, and for -infinity.
inline Vector exponential(Vector x) {
    const __mmask16 normal = _mm512_cmp_ps_mask(x, spread(-87.0f), _CMP_NLT_UQ);
    const Vector n = _mm512_roundscale_ps(x * spread(1.44269504f), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const Vector r = (x - n * spread(0.693359375f)) + n * spread(2.12194440e-4f);
    return _mm512_maskz_scalef_ps(normal, exponential_of_rest(r), n);
}

#else

inline Vector larger(Vector a, Vector b) { return a > b ? a : b; }

// e^x for x <= 0, within 2 ulp; 0 below -87, where a float is no longer normal, and for -infinity.
inline Vector exponential(Vector x) {
    const Vector shifter = spread(12582912.0f);  // 1.5 * 2^23: the sum's last bits are a whole number
    const Words small = x < spread(-87.0f);
    x = small ? spread(-87.0f) : x;
    const Vector shifted = x * spread(1.44269504f) + shifter;
    const Vector n = shifted - shifter;
    const Vector p = exponential_of_rest((x - n * spread(0.693359375f)) + n * spread(2.12194440e-4f));
    Words exponent;
    std::memcpy(&exponent, &shifted, sizeof exponent);
    Words bits;
    std::memcpy(&bits, &p, sizeof bits);
    bits = (bits + (exponent << 23)) & ~small;
    Vector e;
    std::memcpy(&e, &bits, sizeof e);
    return x == x ? e : x;  // the exponent of a NaN is not one
}

#endif

inline float sum(Vector v) {
    float total = 0;
    for (int i = 0; i < lanes; ++i) total += v[i];
    return total;
}

inline float largest(Vector v) {
    float most = v[0];
    for (int i = 1; i < lanes; ++i) most = v[i] > most ? v[i] : most;
    return most;
}

// Left factors lie in buffers whose lines are this far apart: constants in place of a dozen registers.
constexpr std::int64_t buffer_line = 256;

// How a left factor lies in its buffer: a(i, k) = a[i * row + k * step].
struct Upright {
    static constexpr std::int64_t row = buffer_line, step = 1;
};
struct Transposed {
    static constexpr std::int64_t row = 1, step = buffer_line;
};

// c = a b, or += : `rows` rows of one tile, b a panel of tile_columns a line.
template <class Left, int rows>
inline void tile_product(std::int64_t depth, const float *a, const float *b, float *c, std::int64_t line, bool add) {
    Vector left[rows], right[rows];
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i) {
        left[i] = add ? load(c + i * line) : Vector{};
        right[i] = add ? load(c + i * line + lanes) : Vector{};
    }
    for (std::int64_t k = 0; k < depth; ++k, a += Left::step, b += tile_columns) {
        const Vector b0 = load(b), b1 = load(b + lanes);
#pragma GCC unroll 12
        for (int i = 0; i < rows; ++i) {
            const Vector x = spread(a[i * Left::row]);
            left[i] += x * b0;
            right[i] += x * b1;
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i) store(c + i * line, left[i]), store(c + i * line + lanes, right[i]);
}

template <class Left, int rows>
inline void some_rows(int count, std::int64_t depth, const float *a, const float *b, float *c, std::int64_t line,
                      bool add) {
    if (count == rows)
        tile_product<Left, rows>(depth, a, b, c, line, add);
    else if constexpr (rows > 1)
        some_rows<Left, rows - 1>(count, depth, a, b, c, line, add);
}

inline std::int64_t panels_for(std::int64_t columns) { return (columns + tile_columns - 1) / tile_columns; }

// c (rows x columns, `line` apart, padded to whole panels) = a b, or += : b lies in panels `apart` from one another.
template <class Left>
inline void product(std::int64_t rows, std::int64_t depth, std::int64_t columns, const float *a, const float *b,
                    std::int64_t apart, float *c, std::int64_t line, bool add) {
    for (std::int64_t p = 0; p < panels_for(columns); ++p)
        for (std::int64_t i = 0; i < rows; i += tile_rows) {
            const int count = static_cast<int>(rows - i < tile_rows ? rows - i : tile_rows);
            some_rows<Left, tile_rows>(count, depth, a + i * Left::row, b + p * apart,
                                       c + i * line + p * tile_columns, line, add);
        }
}

// Copies rows into a buffer of left factors.
inline void gather(const float *from, std::int64_t stride, std::int64_t rows, std::int64_t columns, float scale,
                   float *to) {
    for (std::int64_t i = 0; i < rows; ++i)
        for (std::int64_t k = 0; k < columns; ++k) to[i * buffer_line + k] = from[i * stride + k] * scale;
}

// Lays rows x columns out as panels over the columns: panel p has its `rows` lines one after another.
inline void pack(const float *from, std::int64_t stride, std::int64_t rows, std::int64_t columns, float *to) {
    for (std::int64_t p = 0; p < panels_for(columns); ++p)
        for (std::int64_t i = 0; i < rows; ++i, to += tile_columns) {
            const std::int64_t left = columns - p * tile_columns, count = left < tile_columns ? left : tile_columns;
            std::memcpy(to, from + i * stride + p * tile_columns, static_cast<std::size_t>(count) * sizeof(float));
            std::memset(to + count, 0, static_cast<std::size_t>(tile_columns - count) * sizeof(float));
        }
}

typedef float Four __attribute__((vector_size(16)));
typedef std::int32_t FourPlaces __attribute__((vector_size(16)));

// Four rows become four columns, tile_columns apart.
inline void turn(const float *from, std::int64_t stride, float *to) {
    Four row[4];
    for (int i = 0; i < 4; ++i) std::memcpy(&row[i], from + i * stride, sizeof(Four));
    const FourPlaces low{0, 4, 1, 5}, high{2, 6, 3, 7}, front{0, 1, 4, 5}, back{2, 3, 6, 7};
    const Four a = __builtin_shuffle(row[0], row[1], low), b = __builtin_shuffle(row[2], row[3], low);
    const Four c = __builtin_shuffle(row[0], row[1], high), d = __builtin_shuffle(row[2], row[3], high);
    const Four turned[4] = {__builtin_shuffle(a, b, front), __builtin_shuffle(a, b, back),
                            __builtin_shuffle(c, d, front), __builtin_shuffle(c, d, back)};
    for (int i = 0; i < 4; ++i) std::memcpy(to + i * tile_columns, &turned[i], sizeof(Four));
}

// The same of the transposed matrix: panels over the rows.
inline void pack_transposed(const float *from, std::int64_t stride, std::int64_t rows, std::int64_t columns,
                            float *to) {
    for (std::int64_t p = 0; p < panels_for(rows); ++p, to += columns * tile_columns)
        for (int j = 0; j < tile_columns; j += 4) {
            const std::int64_t i = p * tile_columns + j, fours = i + 4 <= rows ? columns / 4 * 4 : 0;
            for (std::int64_t k = 0; k < fours; k += 4)
                turn(from + i * stride + k, stride, to + k * tile_columns + j);
            for (std::int64_t k = fours; k < columns; ++k)
                for (int own = 0; own < 4; ++own)
                    to[k * tile_columns + j + own] = i + own < rows ? from[(i + own) * stride + k] : 0.0f;
        }
}

}  // namespace
}  // namespace dropkit
