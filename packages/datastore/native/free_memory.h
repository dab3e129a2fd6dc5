// Memory that this process has freed, but that the C library keeps for its next use.
#pragma once

// Gives it back to the operating system, where the C library is glibc; elsewhere nothing happens.
void ReleaseFreeMemory();
