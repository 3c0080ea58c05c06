#include "memory/region.h"
const rn_kind rn_kind_slab = {0};
const rn_kind rn_kind_generation = {0};
void rn_slab_set_chunk(ration_context *c, size_t b)
{
    (void)c;
    (void)b;
}
