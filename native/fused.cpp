// Compiled once for each instruction set. DROPKIT_FUSED names the table to fill, DROPKIT_INSTRUCTIONS the set.
#include "fused.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "layout.hpp"
#include "vector.hpp"

namespace dropkit {
namespace {

constexpr Mask none[most_at_once] = {};

// As many floats as a call brings, whole vectors of them.
struct alignas(64) Some {
    float at[most_at_once];
};

template <class T>
inline void read(const T *from, int count, Some &to) {
    widen_row(from, to.at, count);
    for (int i = count; i % lanes; ++i) to.at[i] = 0.0f;
}

// Calls sink.several for the entries of a row, with the decisions about them.
template <class Sink>
inline void each(const Rows &rows, const Decider &decider, std::int64_t row, const Sink &sink) {
    if (rows.coin.threshold) {
        run(decider, static_cast<std::uint64_t>(row * rows.columns), 0, rows.columns, sink);
        return;
    }
    for (std::int64_t at = 0; at < rows.columns; at += most_at_once)
        sink.several(at, none, static_cast<int>(std::min<std::int64_t>(most_at_once, rows.columns - at)));
}

inline Vector absolute(Vector x) { return x < Vector{} ? -x : x; }

struct Sigmoid {
    Vector s, rest;  // rest = 1 - s, without the cancellation
};

inline Sigmoid sigmoid(Vector x) {
    const Vector e = exponential(-absolute(x)), s = spread(1.0f) / (spread(1.0f) + e);
    return {x < Vector{} ? e * s : s, x < Vector{} ? s : e * s};
}

// The normal distribution function: erfc by a Chebyshev fit, within 1.2e-7 of its value (Press et al., section 6.2).
inline Vector normal_below(Vector x) {
    const Vector z = absolute(x) * spread(0.70710678f), t = spread(1.0f) / (spread(1.0f) + spread(0.5f) * z);
    Vector p = spread(0.17087277f);
    for (const float c : {-0.82215223f, 1.48851587f, -1.13520398f, 0.27886807f, -0.18628806f, 0.09678418f, 0.37409196f,
                          1.00002368f, -1.26551223f})
        p = p * t + spread(c);
    const Vector half = spread(0.5f) * t * exponential(p - z * z);
    return x < Vector{} ? half : spread(1.0f) - half;
}

struct Value {
    Vector y, slope;
};

inline Value relu(Vector x) {
    const Vector zero{};
    return {x < zero ? zero : x, x <= zero ? zero : spread(1.0f)};  // 1 for NaN, as PyTorch has it
}

inline Value silu(Vector x) {
    const Sigmoid of = sigmoid(x);
    return {x * of.s, of.s * (spread(1.0f) + x * of.rest)};
}

inline Value gelu(Vector x) {
    const Vector below = normal_below(x), density = spread(0.39894228f) * exponential(spread(-0.5f) * x * x);
    return {x * below, below + x * density};
}

// tanh by the sigmoid: (1 + tanh u) / 2 = sigmoid(2 u).
inline Value gelu_tanh(Vector x) {
    const Vector square = x * x, twice = spread(1.59576912f) * x * (spread(1.0f) + spread(0.044715f) * square);
    const Sigmoid of = sigmoid(twice);
    const Vector inner = spread(1.59576912f) * (spread(1.0f) + spread(0.134145f) * square);
    return {x * of.s, of.s + x * of.s * of.rest * inner};
}

template <class T, Value (*activation)(Vector)>
struct Activate {
    const T *x, *bias;
    T *out;
    float scale;

    inline void several(std::int64_t at, const Mask *dropped, int count) const {
        Some v, b;
        read(x + at, count, v);
        if (bias) read(bias + at, count, b);
        for (int i = 0; i < count; i += lanes) {
            const Vector before = bias ? load(v.at + i) + load(b.at + i) : load(v.at + i);
            store(v.at + i, activation(before).y * spread(scale));
        }
        for (int i = 0; i < count; ++i) v.at[i] = select(dropped[i], std::uint32_t{0}, v.at[i]);
        narrow_row(v.at, out + at, count);
    }
};

template <class T, Value (*activation)(Vector)>
struct ActivateBackward {
    const T *x, *bias, *grad;
    T *grad_x;
    double *grad_bias;
    float scale;

    inline void several(std::int64_t at, const Mask *dropped, int count) const {
        Some v, b, g;
        read(x + at, count, v);
        read(grad + at, count, g);
        if (bias) read(bias + at, count, b);
        for (int i = 0; i < count; i += lanes) {
            const Vector before = bias ? load(v.at + i) + load(b.at + i) : load(v.at + i);
            store(g.at + i, activation(before).slope * spread(scale) * load(g.at + i));
        }
        for (int i = 0; i < count; ++i) g.at[i] = select(dropped[i], std::uint32_t{0}, g.at[i]);
        narrow_row(g.at, grad_x + at, count);
        if (grad_bias)
            for (int i = 0; i < count; ++i) grad_bias[at + i] += static_cast<double>(g.at[i]);
    }
};

template <class T, Value (*f)(Vector)>
void activate_as(const Rows &rows, const T *x, const T *bias, T *out, std::int64_t begin, std::int64_t end) {
    const Decider decider(rows.coin);
    for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t at = row * rows.columns;
        each(rows, decider, row, Activate<T, f>{x + at, bias, out + at, rows.scale});
    }
}

template <class T, Value (*f)(Vector)>
void activate_backward_as(const Rows &rows, const T *x, const T *bias, const T *grad, T *grad_x, double *grad_bias,
                          std::int64_t begin, std::int64_t end) {
    const Decider decider(rows.coin);
    for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t at = row * rows.columns;
        each(rows, decider, row,
             ActivateBackward<T, f>{x + at, bias, grad + at, grad_x + at, grad_bias, rows.scale});
    }
}

template <class T>
void activate(const Rows &rows, Activation activation, const T *x, const T *bias, T *out, std::int64_t begin,
              std::int64_t end) {
    switch (activation) {
        case Activation::relu: return activate_as<T, relu>(rows, x, bias, out, begin, end);
        case Activation::gelu: return activate_as<T, gelu>(rows, x, bias, out, begin, end);
        case Activation::gelu_tanh: return activate_as<T, gelu_tanh>(rows, x, bias, out, begin, end);
        case Activation::silu: return activate_as<T, silu>(rows, x, bias, out, begin, end);
    }
}

template <class T>
void activate_backward(const Rows &rows, Activation activation, const T *x, const T *bias, const T *grad, T *grad_x,
                       double *grad_bias, std::int64_t begin, std::int64_t end) {
    switch (activation) {
        case Activation::relu: return activate_backward_as<T, relu>(rows, x, bias, grad, grad_x, grad_bias, begin, end);
        case Activation::gelu: return activate_backward_as<T, gelu>(rows, x, bias, grad, grad_x, grad_bias, begin, end);
        case Activation::gelu_tanh:
            return activate_backward_as<T, gelu_tanh>(rows, x, bias, grad, grad_x, grad_bias, begin, end);
        case Activation::silu: return activate_backward_as<T, silu>(rows, x, bias, grad, grad_x, grad_bias, begin, end);
    }
}

template <class T>
struct Add {
    const T *x, *residual;
    T *out;
    float scale;

    inline void several(std::int64_t at, const Mask *dropped, int count) const {
        const T *from = x + at, *beside = residual + at;
        T *to = out + at;
        const float factor = scale;
        DROPKIT_INDEPENDENT
        for (int i = 0; i < count; ++i) {
            const float there = widen(beside[i]), sum = there + widen(from[i]) * factor;
            to[i] = narrow<T>(select(dropped[i], bits(there), sum));
        }
    }
};

template <class T>
void add(const Rows &rows, const T *x, const T *residual, T *out, std::int64_t begin, std::int64_t end) {
    const Decider decider(rows.coin);
    for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t at = row * rows.columns;
        each(rows, decider, row, Add<T>{x + at, residual + at, out + at, rows.scale});
    }
}

inline float average(const float *row, std::int64_t n) {
    Vector total{};
    for (std::int64_t i = 0; i < n; i += lanes) total += load(row + i);
    return sum(total) / static_cast<float>(n);
}

// Takes its mean from a row, and then what rounding left of it, which a small deviation would show.
inline void centre(float *row, std::int64_t n, float middle) {
    for (int pass = 0; pass < 2; ++pass) {
        DROPKIT_INDEPENDENT
        for (std::int64_t i = 0; i < n; ++i) row[i] -= middle;
        if (pass == 0) middle = average(row, n);
    }
}

inline std::int64_t padded(std::int64_t count) { return (count + lanes - 1) / lanes * lanes; }

template <class T>
void norm(const Rows &rows, float epsilon, const T *x, const T *residual, const T *weight, const T *bias, T *sums,
          T *out, float *mean, float *deviation, std::int64_t begin, std::int64_t end) {
    const Decider decider(rows.coin);
    const std::int64_t n = rows.columns;
    const auto wide = static_cast<std::size_t>(padded(n));
    std::vector<float> h(wide), w(wide, 1.0f), b(wide);
    if (weight) widen_row(weight, w.data(), n);
    if (bias) widen_row(bias, b.data(), n);
    for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t at = row * n;
        each(rows, decider, row, Add<T>{x + at, residual + at, sums + at, rows.scale});
        widen_row(sums + at, h.data(), n);
        const float middle = average(h.data(), n);
        centre(h.data(), n, middle);
        Vector squares{};
        for (std::int64_t i = 0; i < n; i += lanes) squares += load(h.data() + i) * load(h.data() + i);
        const float inverse = 1.0f / std::sqrt(sum(squares) / static_cast<float>(n) + epsilon);
        const float *centred = h.data(), *scales = w.data(), *shifts = b.data();
        T *to = out + at;
        DROPKIT_INDEPENDENT
        for (std::int64_t i = 0; i < n; ++i) to[i] = narrow<T>(centred[i] * inverse * scales[i] + shifts[i]);
        mean[row] = middle, deviation[row] = inverse;
    }
}

// Writes a row of a gradient as the dropout passes it on.
template <class T>
struct Pass {
    const float *grad;
    T *out;
    float scale;

    inline void several(std::int64_t at, const Mask *dropped, int count) const {
        const float *from = grad + at;
        T *to = out + at;
        const float factor = scale;
        DROPKIT_INDEPENDENT
        for (int i = 0; i < count; ++i)
            to[i] = narrow<T>(select(dropped[i], std::uint32_t{0}, from[i] * factor));
    }
};

template <class T>
void norm_backward(const Rows &rows, const T *grad, const T *grad_sum, const T *sums, const float *mean,
                   const float *deviation, const T *weight, T *grad_residual, T *grad_x, double *grad_weight,
                   double *grad_bias, std::int64_t begin, std::int64_t end) {
    const Decider decider(rows.coin);
    const std::int64_t n = rows.columns;
    const auto wide = static_cast<std::size_t>(padded(n));
    std::vector<float> normed(wide), scaled(wide), w(wide, 1.0f), g(wide);
    if (weight) widen_row(weight, w.data(), n);
    for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t at = row * n;
        const float inverse = deviation[row];
        widen_row(grad + at, g.data(), n);
        widen_row(sums + at, normed.data(), n);
        centre(normed.data(), n, mean[row]);
        for (std::int64_t i = 0; i < n; ++i) {
            const auto k = static_cast<std::size_t>(i);
            normed[k] *= inverse;
            scaled[k] = g[k] * w[k];
        }
        for (std::int64_t i = 0; i < n; ++i) {
            const auto k = static_cast<std::size_t>(i);
            grad_weight[i] += static_cast<double>(g[k] * normed[k]);
            grad_bias[i] += static_cast<double>(g[k]);
        }
        Vector along{}, total{};
        for (std::int64_t i = 0; i < n; i += lanes) {
            total += load(scaled.data() + i);
            along += load(scaled.data() + i) * load(normed.data() + i);
        }
        const float a = sum(total) / static_cast<float>(n), b = sum(along) / static_cast<float>(n);
        for (std::int64_t i = 0; i < n; ++i) {
            const auto k = static_cast<std::size_t>(i);
            g[k] = inverse * (scaled[k] - a - normed[k] * b) + (grad_sum ? widen(grad_sum[at + i]) : 0.0f);
        }
        narrow_row(g.data(), grad_residual + at, n);
        each(rows, decider, row, Pass<T>{g.data(), grad_x + at, rows.scale});
    }
}

template <class T>
constexpr Fused<T> all() {
    return {activate<T>, activate_backward<T>, add<T>, norm<T>, norm_backward<T>};
}

}  // namespace

const FusedLoops DROPKIT_FUSED = {DROPKIT_INSTRUCTIONS, all<float>(), all<Half>(), all<BFloat>()};

}  // namespace dropkit
