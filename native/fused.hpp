// Dropout together with what stands beside it: bias and activation, a residual, a layer norm. A row is what a norm is
// taken over, or a bias added to; every entry has a coin of its own.
#pragma once

#include "address.hpp"
#include "half.hpp"

namespace dropkit {

enum class Activation : int { relu, gelu, gelu_tanh, silu };

struct Rows {
    std::int64_t rows, columns;
    Coin coin;
    float scale;  // of what is kept
};

// The gradients of bias or weight are summed in double, a line of `columns` for each part of the rows.
template <class T>
struct Fused {
    void (*activate)(const Rows &, Activation, const T *x, const T *bias, T *out, std::int64_t begin, std::int64_t end);
    void (*activate_backward)(const Rows &, Activation, const T *x, const T *bias, const T *grad, T *grad_x,
                              double *grad_bias, std::int64_t begin, std::int64_t end);
    void (*add)(const Rows &, const T *x, const T *residual, T *out, std::int64_t begin, std::int64_t end);
    void (*norm)(const Rows &, float epsilon, const T *x, const T *residual, const T *weight, const T *bias, T *sum,
                 T *out, float *mean, float *deviation, std::int64_t begin, std::int64_t end);
    void (*norm_backward)(const Rows &, const T *grad, const T *grad_sum, const T *sum, const float *mean,
                          const float *deviation, const T *weight, T *grad_residual, T *grad_x, double *grad_weight,
                          double *grad_bias, std::int64_t begin, std::int64_t end);
};

struct FusedLoops {
    const char *instructions;
    Fused<float> of_float;
    Fused<Half> of_half;
    Fused<BFloat> of_bfloat;
};

extern const FusedLoops fused_plain, fused_avx2, fused_avx512;

}  // namespace dropkit
