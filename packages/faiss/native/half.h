// Half to single precision.
#pragma once

#include <cstddef>
#include <cstdint>

// Widens n halves, exactly; with the F16C instructions where the processor has them.
void widenHalves(const uint16_t* source, size_t n, float* target);
