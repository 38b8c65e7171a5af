/* SPDX-License-Identifier: MIT
 *
 * The table behind eai_bits_first() on cores without a scan instruction.
 */
#include "base/bits.h"

#if !EAI_HAS_CLZ
/* eai_de_bruijn[(0x077CB531 << i) >> 27] == i */
const uint8_t eai_de_bruijn[32] = {0,  1,  28, 2,  29, 14, 24, 3, 30, 22, 20, 15, 25, 17, 4,  8,
                                   31, 27, 13, 23, 21, 19, 16, 7, 26, 12, 18, 6,  11, 5,  10, 9};
#endif
