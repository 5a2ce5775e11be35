// Noises without an atom at zero: a factor for each group, computed in double as core/noise.py has it.
#pragma once

#include <cmath>

#include "layout.hpp"

namespace dropkit {

// m = mean + deviation * z, with z of mean 0 and variance 1.
struct Continuous {
    enum Kind : int { gaussian = 1, uniform = 2 } kind;
    double mean, deviation;
};

namespace {

inline double double_of(std::uint64_t bits) {
    double value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline std::uint64_t bits_of_double(double value) {
    std::uint64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

// A whole number below 2^32 as a double, from the signed conversion that every instruction set has.
inline double whole(std::uint32_t u) {
    return static_cast<double>(static_cast<std::int32_t>(u ^ 0x80000000u)) + 2147483648.0;
}

// log x of a normal x > 0, within 2 ulp: x = 2^e m with m in [sqrt(1/2), sqrt(2)), log m = 2 artanh((m - 1) / (m + 1)).
inline double logarithm(double x) {
    constexpr std::uint64_t root = 0x3FE6A09E667F3BCDu, one = 0x3FF0000000000000u, mantissa = 0x000FFFFFFFFFFFFFu;
    const std::uint64_t shifted = bits_of_double(x) + (one - root);
    // A number below 2^52 becomes a double by its bits alone.
    const double e = double_of(shifted >> 52 | 0x4330000000000000u) - (4503599627370496.0 + 1023.0);
    const double f = double_of((shifted & mantissa) + root) - 1.0, s = f / (2.0 + f), z = s * s;
    double p = 1.0 / 21;
    p = p * z + 1.0 / 19, p = p * z + 1.0 / 17, p = p * z + 1.0 / 15, p = p * z + 1.0 / 13, p = p * z + 1.0 / 11;
    p = p * z + 1.0 / 9, p = p * z + 1.0 / 7, p = p * z + 1.0 / 5, p = p * z + 1.0 / 3;
    return e * 0.693147180369123816490 + (e * 1.90821492927058770002e-10 + (2.0 * s + 2.0 * s * (z * p)));
}

// cos(2 pi turn / 2^32): the quarter turn is taken off the whole number, where nothing is rounded.
inline double cosine(std::uint32_t turn) {
    const std::uint32_t quarter = (turn + 0x20000000u) >> 30;
    const double r = static_cast<double>(static_cast<std::int32_t>(turn - (quarter << 30))) * 1.46291807926715968e-9;
    const double z = r * r;
    double c = 1.0 / 20922789888000.0, s = -1.0 / 1307674368000.0;
    c = c * z - 1.0 / 87178291200.0, s = s * z + 1.0 / 6227020800.0;
    c = c * z + 1.0 / 479001600.0, s = s * z - 1.0 / 39916800.0;
    c = c * z - 1.0 / 3628800.0, s = s * z + 1.0 / 362880.0;
    c = c * z + 1.0 / 40320.0, s = s * z - 1.0 / 5040.0;
    c = c * z - 1.0 / 720.0, s = s * z + 1.0 / 120.0;
    c = c * z + 1.0 / 24.0, s = s * z - 1.0 / 6.0;
    c = c * z - 0.5;
    const std::uint64_t even = bits_of_double(c * z + 1.0), odd = bits_of_double(s * z * r + r);
    const std::uint64_t wide = quarter, turned = 0u - (wide & 1u), sign = ((wide + 1u) >> 1 & 1u) << 63;
    return double_of(((even & ~turned) | (odd & turned)) ^ sign);
}

// The factors of the groups 64 * tile ... 64 * tile + 63.
class Factors {
  public:
    inline Factors(const Coin &coin, const Continuous &noise) : decider(coin), noise(noise) {}

    inline void tile(std::uint64_t tile, double *m) const {
        alignas(64) std::uint32_t u[tile_size], second[tile_size];
        const double mean = noise.mean, deviation = noise.deviation;
        decider.words(tile, u);
        if (noise.kind == Continuous::uniform) {
            for (int i = 0; i < tile_size; ++i)
                m[i] = mean + deviation * (1.7320508075688772 * (2.0 * ((whole(u[i]) + 0.5) * 0x1p-32) - 1.0));
            return;
        }
        decider.seconds(tile, second);
        for (int i = 0; i < tile_size; ++i)
            m[i] = mean + deviation * (std::sqrt(-2.0 * logarithm((whole(u[i]) + 0.5) * 0x1p-32)) * cosine(second[i]));
    }

    // One group; remembers the tile it drew last.
    inline double operator()(std::uint64_t group) {
        if (group / tile_size != last) tile(last = group / tile_size, drawn);
        return drawn[group % tile_size];
    }

  private:
    Decider decider;
    Continuous noise;
    std::uint64_t last = ~std::uint64_t{0};
    alignas(64) double drawn[tile_size];
};

// Multiplies; where the factor is 0, infinities and NaN do not survive.
template <class T, bool dense>
struct Multiply {
    const T *x;
    T *out;
    std::int64_t from_step, to_step;

    inline Multiply at(std::int64_t from, std::int64_t to) const { return {x + from, out + to, from_step, to_step}; }

    template <class Factor>
    inline void several(std::int64_t at, Factor factor, std::int64_t count) const {
        const std::int64_t in = dense ? 1 : from_step, on = dense ? 1 : to_step;
        const T *from = x + at * in;
        T *to = out + at * on;
        DROPKIT_INDEPENDENT
        for (std::int64_t i = 0; i < count; ++i) {
            const double m = factor(i), value = static_cast<double>(widen(from[i * in]));
            const std::uint64_t stays = m == 0.0 ? 0 : ~std::uint64_t{0};
            const double product = double_of(bits_of_double(value) & stays) * m;
            to[i * on] = narrow<T>(static_cast<typename Wide<T>::type>(product));
        }
    }
};

template <class Sink>
inline void walk_factors(const Layout &layout, const Coin &coin, const Continuous &noise, std::int64_t begin,
                         std::int64_t end, const Sink &sink) {
    Factors factors(coin, noise);
    if (last_stride(layout) == 1) {
        each_row(layout, begin, end, sink, [&](std::uint64_t group, const Sink &there, std::int64_t count) {
            alignas(64) double m[tile_size];
            for (std::int64_t done = 0; done < count;) {
                const auto first = static_cast<std::int64_t>((group + done) % tile_size);
                const std::int64_t take = count - done < tile_size - first ? count - done : tile_size - first;
                factors.tile((group + done) / tile_size, m);
                const double *of = m + first;
                there.several(done, [of](std::int64_t i) { return of[i]; }, take);
                done += take;
            }
        });
        return;
    }
    each_row(layout, begin, end, sink, [&](std::uint64_t group, const Sink &there, std::int64_t count) {
        const auto step = static_cast<std::uint64_t>(last_stride(layout));
        if (step == 0) {
            const double m = factors(group);
            there.several(0, [m](std::int64_t) { return m; }, count);
            return;
        }
        for (std::int64_t i = 0; i < count; ++i) {
            const double m = factors(group + static_cast<std::uint64_t>(i) * step);
            there.several(i, [m](std::int64_t) { return m; }, 1);
        }
    });
}

}  // namespace
}  // namespace dropkit
