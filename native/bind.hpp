// What the parts of the Python surface share.
#pragma once

#include <nanobind/nanobind.h>

#include "address.hpp"

namespace dropkit {

namespace nb = nanobind;

// A key is 64 bits: both -1 and 2^64 - 1 mean all ones.
inline std::uint64_t bits_of(nb::handle key) {
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(key.ptr(), &overflow);
    if (value == -1 && PyErr_Occurred()) throw nb::python_error();
    if (overflow == 0) return static_cast<std::uint64_t>(value);
    const unsigned long long large = overflow > 0 ? PyLong_AsUnsignedLongLong(key.ptr()) : 0;
    if (overflow < 0 || PyErr_Occurred()) {
        PyErr_Clear();
        throw nb::value_error("key: must fit in 64 bits, signed or unsigned");
    }
    return large;
}

inline Coin coin_of(nb::handle key, std::uint32_t call, std::uint32_t stream, std::uint64_t threshold) {
    if (threshold > std::uint64_t{1} << 32) throw nb::value_error("threshold: must be a whole number from 0 to 2**32");
    return {bits_of(key), call, stream, threshold};
}

inline void require(bool holds, const char *rule) {
    if (!holds) throw nb::value_error(rule);
}

void bind_attention(nb::module_ &module);

}  // namespace dropkit
