// Compiled once for each instruction set, as loop.cpp is. Blocks of queries meet blocks of keys; what lies between,
// logits, probabilities and their mask, is never larger than one such block.
#include "attention.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "layout.hpp"
#include "vector.hpp"

namespace dropkit {
namespace {

constexpr std::int64_t query_block = 48, key_block = buffer_line;
constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

using Floats = std::vector<float>;

inline std::int64_t padded(std::int64_t columns) { return panels_for(columns) * tile_columns; }
inline std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

// A block of logits: queries [q0, q0 + rows), keys [k0, k0 + columns) of one head.
struct Block2 {
    std::int64_t b, h, q0, rows, k0, columns;
};

inline std::uint64_t group_of(const Attention &a, const Block2 &at, std::int64_t i) {
    const auto head = static_cast<std::uint64_t>(at.b * a.heads + at.h);
    const auto query = head * static_cast<std::uint64_t>(a.queries) + static_cast<std::uint64_t>(at.q0 + i);
    return query * static_cast<std::uint64_t>(a.keys) + static_cast<std::uint64_t>(at.k0);
}

// How many of a row's keys may take part at all.
inline std::int64_t visible(const Attention &a, const Block2 &at, std::int64_t i) {
    const std::int64_t seen = a.causal ? at.q0 + i + 1 - at.k0 : at.columns;
    return seen < 0 ? 0 : least(seen, at.columns);
}

template <class Entry, class Use>
inline void masked_row(const AttentionMask &m, const Block2 &at, std::int64_t i, std::int64_t count, Use use) {
    const auto *row = static_cast<const Entry *>(m.data) + at.b * m.batch + at.h * m.head + (at.q0 + i) * m.query +
                      at.k0 * m.key;
    if (m.key == 1)
        for (std::int64_t j = 0; j < count; ++j) use(j, row[j]);
    else
        for (std::int64_t j = 0; j < count; ++j) use(j, row[j * m.key]);
}

// Adds the mask to a row of scaled products; what takes no part becomes -infinity, up to the end of the panel.
inline void finish_logits(const Attention &a, const Block2 &at, std::int64_t i, float *row) {
    const std::int64_t count = visible(a, at, i), end = padded(at.columns);
    for (std::int64_t j = count; j < end; ++j) row[j] = minus_infinity;
    if (a.mask.kind == AttentionMask::bytes)
        masked_row<std::uint8_t>(a.mask, at, i, count,
                                 [row](std::int64_t j, std::uint8_t part) { row[j] = part ? row[j] : minus_infinity; });
    else if (a.mask.kind == AttentionMask::floats)
        masked_row<float>(a.mask, at, i, count, [row](std::int64_t j, float bias) { row[j] += bias; });
}

// Makes zeros in a row of probabilities; what is kept is scaled later, with the sum.
struct DropRow {
    float *p;

    inline void several(std::int64_t at, const Mask *dropped, int count) const {
        float *to = p + at;
        DROPKIT_INDEPENDENT
        for (int i = 0; i < count; ++i) to[i] = select(dropped[i], std::uint32_t{0}, to[i]);
    }

#if defined(__AVX512F__)
    inline void bits(std::int64_t at, const SixteenBits &dropped) const {
        for (int i = 0; i < SixteenBits::count; ++i)
            _mm512_mask_storeu_ps(p + at + i * lanes, dropped.of[i], _mm512_setzero_ps());
    }
#endif
};

// Makes logits -infinity.
struct HideRow {
    float *logits;

    inline void several(std::int64_t at, const Mask *dropped, int count) const {
        float *to = logits + at;
        const std::uint32_t hidden = dropkit::bits(minus_infinity);
        DROPKIT_INDEPENDENT
        for (int i = 0; i < count; ++i) to[i] = select(dropped[i], hidden, to[i]);
    }

#if defined(__AVX512F__)
    inline void bits(std::int64_t at, const SixteenBits &dropped) const {
        for (int i = 0; i < SixteenBits::count; ++i)
            _mm512_mask_storeu_ps(logits + at + i * lanes, dropped.of[i], spread(minus_infinity));
    }
#endif
};

// The same as DropRow, of a copy and of a row of gradients.
struct DropBoth {
    const float *p;
    float *kept_p, *grad, scale;

    inline void several(std::int64_t at, const Mask *dropped, int count) const {
        const float *from = p + at;
        float *to = kept_p + at, *through = grad + at;
        const float kept = scale;
        DROPKIT_INDEPENDENT
        for (int i = 0; i < count; ++i) {
            to[i] = select(dropped[i], std::uint32_t{0}, from[i] * kept);
            through[i] = select(dropped[i], std::uint32_t{0}, through[i] * kept);
        }
    }

#if defined(__AVX512F__)
    inline void bits(std::int64_t at, const SixteenBits &dropped) const {
        const Vector kept = spread(scale);
        for (int i = 0; i < SixteenBits::count; ++i) {
            const auto stays = static_cast<__mmask16>(~dropped.of[i]);
            const std::int64_t j = at + i * lanes;
            store(kept_p + j, _mm512_maskz_mul_ps(stays, load(p + j), kept));
            store(grad + j, _mm512_maskz_mul_ps(stays, load(grad + j), kept));
        }
    }
#endif
};

// Hands the decisions about a row to the sink: as bits, where they are many, each a lane of a mask register.
template <class Sink>
inline void drop_row(const Decider &decider, std::uint64_t group, std::int64_t count, const Sink &sink) {
    std::int64_t at = 0;
#if defined(__AVX512F__)
    constexpr std::int64_t several = tiles_at_once * tile_size;
    const std::int64_t first = static_cast<std::int64_t>(-group % several);
    if (count >= first + several) {
        run(decider, group, 0, first, sink);
        for (at = first; at + several <= count; at += several)
            sink.bits(at, decider.bits((group + static_cast<std::uint64_t>(at)) / tile_size));
    }
#endif
    run(decider, group + static_cast<std::uint64_t>(at), at, count - at, sink);
}

// Hides the keys that a query loses.
inline void hide_keys(const Attention &a, const Decider &decider, const Block2 &at, std::int64_t i, float *row) {
    const std::int64_t query = (at.b * a.heads + at.h) * a.queries + at.q0 + i;
    Coin coin = a.coin;
    coin.threshold = static_cast<std::uint64_t>(a.thresholds[query]);
    if (coin.threshold == 0) return;
    // One of its own have the few queries that would lose every key.
    if (coin.threshold == a.coin.threshold)
        drop_row(decider, group_of(a, at, i), at.columns, HideRow{row});
    else
        drop_row(Decider(coin), group_of(a, at, i), at.columns, HideRow{row});
}

inline float row_largest(const float *row, std::int64_t end) {
    Vector most = load(row);
    for (std::int64_t j = lanes; j < end; j += lanes) most = larger(most, load(row + j));
    return largest(most);
}

inline bool any_nan(const float *row, std::int64_t end) {
    return std::any_of(row, row + end, [](float x) { return x != x; });
}

// row = e^(row - shift); returns the sum.
inline float exponentiate(float *row, std::int64_t end, float shift) {
    Vector total{};
    const Vector by = spread(shift);
    for (std::int64_t j = 0; j < end; j += lanes) {
        const Vector e = exponential(load(row + j) - by);
        store(row + j, e);
        total += e;
    }
    return sum(total);
}

// The running maximum and sum of each row, and the output so far.
struct Softmax {
    Floats most, total, out;

    Softmax(std::int64_t rows, std::int64_t columns)
        : most(static_cast<std::size_t>(rows), minus_infinity), total(static_cast<std::size_t>(rows)),
          out(static_cast<std::size_t>(rows * columns)) {}
};

inline void soften_row(const Attention &a, const Decider &decider, const Block2 &at, std::int64_t i, float *row,
                       Softmax &state, std::int64_t line) {
    const std::int64_t end = padded(at.columns);
    finish_logits(a, at, i, row);
    if (a.thresholds) hide_keys(a, decider, at, i, row);
    const float before = state.most[i], top = row_largest(row, end), now = before > top ? before : top;
    if (now == minus_infinity && !any_nan(row, end)) {  // nothing takes part so far
        std::memset(row, 0, static_cast<std::size_t>(end) * sizeof(float));
        return;
    }
    const float total = exponentiate(row, end, now), shrink = std::exp(before - now);
    state.most[i] = now;
    state.total[i] = state.total[i] * shrink + total;
    if (shrink != 1)
        for (std::int64_t j = 0; j < line; ++j) state.out[i * line + j] *= shrink;
    if (a.coin.threshold && !a.thresholds) drop_row(decider, group_of(a, at, i), at.columns, DropRow{row});
}

void forward(const Attention &a, std::int64_t b, std::int64_t h, std::int64_t begin, std::int64_t end, float *out,
             float *log_sums) {
    const std::int64_t key_head = h / (a.heads / a.key_heads), line = padded(a.value_depth);
    Floats keys(static_cast<std::size_t>(padded(a.keys) * a.depth)), values(static_cast<std::size_t>(line * a.keys));
    Floats logits(static_cast<std::size_t>(query_block * key_block)), queries(logits.size());
    pack_transposed(a.k.at(b, key_head), a.k.row, a.keys, a.depth, keys.data());
    pack(a.v.at(b, key_head), a.v.row, a.keys, a.value_depth, values.data());
    const Decider decider(a.coin);
    const std::int64_t first = (b * a.heads + h) * a.queries;
    for (std::int64_t q0 = begin; q0 < end; q0 += query_block) {
        Block2 at{b, h, q0, least(query_block, end - q0), 0, 0};
        Softmax state(at.rows, line);
        gather(a.q.at(b, h) + q0 * a.q.row, a.q.row, at.rows, a.depth, a.scale, queries.data());
        const std::int64_t seen = a.causal ? least(a.keys, q0 + at.rows) : a.keys;
        for (at.k0 = 0; at.k0 < seen; at.k0 += key_block) {
            at.columns = least(key_block, seen - at.k0);
            const std::int64_t panel = a.depth * tile_columns;
            product<Upright>(at.rows, a.depth, at.columns, queries.data(), keys.data() + at.k0 * a.depth, panel,
                             logits.data(), key_block, false);
            for (std::int64_t i = 0; i < at.rows; ++i)
                soften_row(a, decider, at, i, logits.data() + i * key_block, state, line);
            product<Upright>(at.rows, at.columns, a.value_depth, logits.data(), values.data() + at.k0 * tile_columns,
                             a.keys * tile_columns, state.out.data(), line, true);
        }
        for (std::int64_t i = 0; i < at.rows; ++i) {
            const float total = state.total[i], share = total == 0 ? 0 : a.kept_scale / total;
            float *to = out + (first + q0 + i) * a.value_depth;
            for (std::int64_t j = 0; j < a.value_depth; ++j) to[j] = state.out[i * line + j] * share;
            log_sums[first + q0 + i] = total == 0 ? minus_infinity : state.most[i] + std::log(total);
        }
    }
}

// Turns logits into probabilities, and products with the gradient into gradients of the logits.
struct Backward {
    const Attention &a;
    const Decider &decider;
    const float *log_sums, *deltas;
    Floats p, kept, grad;

    Backward(const Attention &a, const Decider &decider)
        : a(a), decider(decider), log_sums(nullptr), deltas(nullptr), p(query_block * key_block),
          kept(query_block * key_block), grad(query_block * key_block) {}

    void row(const Block2 &at, std::int64_t i) {
        const std::int64_t end = padded(at.columns), start = i * key_block;
        float *probability = p.data() + start, *dropped = kept.data() + start, *through = grad.data() + start;
        finish_logits(a, at, i, probability);
        if (a.thresholds) hide_keys(a, decider, at, i, probability);
        if (log_sums[i] == minus_infinity)
            std::memset(probability, 0, static_cast<std::size_t>(end) * sizeof(float));
        else
            exponentiate(probability, end, log_sums[i]);
        if (a.coin.threshold && !a.thresholds)
            drop_row(decider, group_of(a, at, i), at.columns, DropBoth{probability, dropped, through, a.kept_scale});
        else
            std::memcpy(dropped, probability, static_cast<std::size_t>(end) * sizeof(float));
        const Vector delta = spread(deltas[i]), scale = spread(a.scale);
        for (std::int64_t j = 0; j < end; j += lanes)
            store(through + j, load(probability + j) * (load(through + j) - delta) * scale);
    }
};

inline void add_rows(const Floats &from, std::int64_t line, std::int64_t rows, std::int64_t columns, float *to) {
    for (std::int64_t i = 0; i < rows; ++i)
        std::memcpy(to + i * columns, from.data() + i * line, static_cast<std::size_t>(columns) * sizeof(float));
}

void backward(const Attention &a, const AttentionGradients &g, std::int64_t b, std::int64_t h) {
    const std::int64_t line = padded(a.depth), value_line = padded(a.value_depth), panel = a.depth * tile_columns,
                       value_panel = a.value_depth * tile_columns, shared = a.heads / a.key_heads;
    Floats keys(static_cast<std::size_t>(padded(a.keys) * a.depth)), key_rows(static_cast<std::size_t>(line * a.keys));
    Floats values(static_cast<std::size_t>(padded(a.keys) * a.value_depth));
    Floats dk(static_cast<std::size_t>(line * a.keys)), dv(static_cast<std::size_t>(value_line * a.keys));
    Floats q_rows(static_cast<std::size_t>(line * query_block)), dq(static_cast<std::size_t>(line * query_block));
    Floats grad_rows(static_cast<std::size_t>(value_line * query_block)), deltas(query_block);
    Floats queries(static_cast<std::size_t>(query_block * buffer_line)), grads(queries.size());
    pack_transposed(a.k.at(b, h), a.k.row, a.keys, a.depth, keys.data());
    pack(a.k.at(b, h), a.k.row, a.keys, a.depth, key_rows.data());
    pack_transposed(a.v.at(b, h), a.v.row, a.keys, a.value_depth, values.data());
    const Decider decider(a.coin);
    Backward block(a, decider);
    block.deltas = deltas.data();
    for (std::int64_t head = h * shared; head < (h + 1) * shared; ++head) {
        const std::int64_t first = (b * a.heads + head) * a.queries;
        for (std::int64_t q0 = 0; q0 < a.queries; q0 += query_block) {
            Block2 at{b, head, q0, least(query_block, a.queries - q0), 0, 0};
            const float *q = a.q.at(b, head) + q0 * a.q.row, *grad = g.grad.at(b, head) + q0 * g.grad.row;
            for (std::int64_t i = 0; i < at.rows; ++i) {
                const float *out = g.out + (first + q0 + i) * a.value_depth;
                float delta = 0;
                for (std::int64_t j = 0; j < a.value_depth; ++j) delta += grad[i * g.grad.row + j] * out[j];
                deltas[i] = delta;
            }
            gather(q, a.q.row, at.rows, a.depth, a.scale, queries.data());
            gather(grad, g.grad.row, at.rows, a.value_depth, 1, grads.data());
            pack(q, a.q.row, at.rows, a.depth, q_rows.data());
            pack(grad, g.grad.row, at.rows, a.value_depth, grad_rows.data());
            block.log_sums = g.log_sums + first + q0;
            std::fill(dq.begin(), dq.end(), 0.0f);
            const std::int64_t seen = a.causal ? least(a.keys, q0 + at.rows) : a.keys;
            for (at.k0 = 0; at.k0 < seen; at.k0 += key_block) {
                at.columns = least(key_block, seen - at.k0);
                product<Upright>(at.rows, a.depth, at.columns, queries.data(), keys.data() + at.k0 * a.depth, panel,
                                 block.p.data(), key_block, false);
                product<Upright>(at.rows, a.value_depth, at.columns, grads.data(),
                                 values.data() + at.k0 * a.value_depth, value_panel, block.grad.data(), key_block,
                                 false);
                for (std::int64_t i = 0; i < at.rows; ++i) block.row(at, i);
                product<Transposed>(at.columns, at.rows, a.value_depth, block.kept.data(), grad_rows.data(),
                                    at.rows * tile_columns, dv.data() + at.k0 * value_line, value_line, true);
                product<Transposed>(at.columns, at.rows, a.depth, block.grad.data(), q_rows.data(),
                                    at.rows * tile_columns, dk.data() + at.k0 * line, line, true);
                product<Upright>(at.rows, at.columns, a.depth, block.grad.data(),
                                 key_rows.data() + at.k0 * tile_columns, a.keys * tile_columns, dq.data(), line,
                                 true);
            }
            add_rows(dq, line, at.rows, a.depth, g.q + (first + q0) * a.depth);
        }
    }
    const std::int64_t start = (b * a.key_heads + h) * a.keys;
    add_rows(dk, line, a.keys, a.depth, g.k + start * a.depth);
    add_rows(dv, value_line, a.keys, a.value_depth, g.v + start * a.value_depth);
}

}  // namespace

const AttentionLoops DROPKIT_ATTENTION = {DROPKIT_INSTRUCTIONS, forward, backward};

}  // namespace dropkit
