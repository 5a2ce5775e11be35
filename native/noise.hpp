// What a decision does to entries.
#pragma once

#include <cstring>

#include "address.hpp"
#include "half.hpp"

// Entries are independent even where x and out are the same memory.
#if defined(__clang__)
#define DROPKIT_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define DROPKIT_INDEPENDENT _Pragma("GCC ivdep")
#else
#define DROPKIT_INDEPENDENT
#endif

namespace dropkit {

// y = fill where dropped, else x * scale + shift.
struct TwoPoint {
    double scale, shift, fill;
};

namespace {

// A dropped entry is selected, never multiplied: what was infinite or NaN there becomes the fill. Without a shift
// nothing is added, so that -0 stays -0.
template <class T, bool shifted>
struct Affine {
    T scale, shift;

    inline T operator()(T x) const { return shifted ? x * scale + shift : x * scale; }
};

inline std::uint32_t bits(float x) {
    std::uint32_t word;
    std::memcpy(&word, &x, sizeof word);
    return word;
}

inline std::uint64_t bits(double x) {
    std::uint64_t word;
    std::memcpy(&word, &x, sizeof word);
    return word;
}

// By bits: of a choice between two values compilers make a branch, which costs ten times as much as the draw.
template <class T, class Bits>
inline T select(Mask dropped, Bits lost, T kept) {
    const auto mask = static_cast<Bits>(static_cast<std::int64_t>(static_cast<std::int32_t>(dropped)));
    const Bits chosen = (bits(kept) & ~mask) | (lost & mask);
    T value;
    std::memcpy(&value, &chosen, sizeof value);
    return value;
}

constexpr int most_at_once = tiles_at_once * tile_size;  // decisions that a sink is given

// The loops copy what they need into locals: a store to out might otherwise change a member, and nothing vectorises.
// `dense` says that neighbours lie side by side, in x and in out.
template <class T, bool shifted, bool dense>
struct Apply {
    using Real = typename Wide<T>::type;

    const T *x;
    T *out;
    Affine<Real, shifted> affine;
    Real fill;
    std::int64_t from_step, to_step;

    Apply(const T *x, T *out, const TwoPoint &noise, std::int64_t from_step, std::int64_t to_step)
        : x(x), out(out), affine{static_cast<Real>(noise.scale), static_cast<Real>(noise.shift)},
          fill(static_cast<Real>(noise.fill)), from_step(dense ? 1 : from_step), to_step(dense ? 1 : to_step) {}

    inline Apply at(std::int64_t from, std::int64_t to) const {
        Apply there = *this;
        there.x += from, there.out += to;
        return there;
    }

    inline void several(std::int64_t at, const Mask *dropped, int count) const {
        const std::int64_t in = dense ? 1 : from_step, on = dense ? 1 : to_step;
        const T *from = x + at * in;
        T *to = out + at * on;
        const auto kept = affine;
        const auto lost = bits(fill);
        if constexpr (dense && sizeof(T) == 2) {
            float row[most_at_once];
            widen_row(from, row, count);
            DROPKIT_INDEPENDENT
            for (int i = 0; i < count; ++i) row[i] = select(dropped[i], lost, kept(row[i]));
            narrow_row(row, to, count);
            return;
        }
        DROPKIT_INDEPENDENT
        for (int i = 0; i < count; ++i) to[i * on] = narrow<T>(select(dropped[i], lost, kept(widen(from[i * in]))));
    }

    inline void shared(std::int64_t at, bool dropped, std::int64_t count) const {
        const std::int64_t in = dense ? 1 : from_step, on = dense ? 1 : to_step;
        const T *from = x + at * in;
        T *to = out + at * on;
        const auto kept = affine;
        const Real lost = fill;
        if constexpr (dense && sizeof(T) == 2) {
            float row[most_at_once];
            for (std::int64_t done = 0; done < count; done += most_at_once) {
                const std::int64_t part = count - done < most_at_once ? count - done : most_at_once;
                widen_row(from + done, row, part);
                DROPKIT_INDEPENDENT
                for (std::int64_t i = 0; i < part; ++i) row[i] = dropped ? lost : kept(row[i]);
                narrow_row(row, to + done, part);
            }
            return;
        }
        DROPKIT_INDEPENDENT
        for (std::int64_t i = 0; i < count; ++i) to[i * on] = narrow<T>(dropped ? lost : kept(widen(from[i * in])));
    }
};

// Writes the decisions themselves.
struct Record {
    std::uint8_t *out;

    inline Record at(std::int64_t, std::int64_t to) const { return {out + to}; }

    inline void several(std::int64_t at, const Mask *dropped, int count) const {
        std::uint8_t *to = out + at;
        for (int i = 0; i < count; ++i) to[i] = dropped[i] & 1;
    }

    inline void shared(std::int64_t at, bool dropped, std::int64_t count) const {
        std::memset(out + at, dropped, static_cast<std::size_t>(count));
    }
};

}  // namespace
}  // namespace dropkit
