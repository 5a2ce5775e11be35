// Attention with dropout on its probabilities: out = dropout(softmax(scale q k' + mask)) v, in float32. Or with keys
// dropped before the softmax: out = softmax(scale q k' + mask + hidden) v.
#pragma once

#include <cstdint>

#include "address.hpp"

namespace dropkit {

// One matrix a batch and head: rows of contiguous floats, `row` apart.
struct Matrices {
    const float *data;
    std::int64_t batch, head, row;

    const float *at(std::int64_t b, std::int64_t h) const { return data + b * batch + h * head; }
};

// What is added to the logits, or says which pairs take part (bytes); strides may be 0.
struct AttentionMask {
    enum Kind { none, bytes, floats } kind;
    const void *data;
    std::int64_t batch, head, query, key;
};

struct Attention {
    std::int64_t batch, heads, key_heads, queries, keys, depth, value_depth;
    float scale;
    bool causal;
    AttentionMask mask;
    Coin coin;         // its groups are the entries (batch, head, query, key), in this order
    float kept_scale;  // of a probability that is kept
    Matrices q, k, v;
    // Where keys are dropped: below which draw, for each (batch, head, query). Null where probabilities are.
    const std::int64_t *thresholds;
};

struct AttentionGradients {
    Matrices grad;       // of the output
    const float *out;    // (batch, head, query, value_depth), dense
    const float *log_sums;
    float *q, *k, *v;    // dense
};

// The heads of one batch are independent in the forward pass, and so are parts of their queries.
struct AttentionLoops {
    const char *instructions;
    // Queries [begin, end) of one head; writes dense rows of the output and the logarithms of the sums.
    void (*forward)(const Attention &, std::int64_t b, std::int64_t h, std::int64_t begin, std::int64_t end,
                    float *out, float *log_sums);
    // All queries of all heads that share key head h.
    void (*backward)(const Attention &, const AttentionGradients &, std::int64_t b, std::int64_t h);
};

extern const AttentionLoops attention_plain, attention_avx2, attention_avx512;

}  // namespace dropkit
