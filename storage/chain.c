/* SPDX-License-Identifier: Apache-2.0
 *
 * Growing arrays in blocks; the contract is in chain.h. */
#include "storage/chain.h"

#include "base/heap.h"

void rn_chain_set(rn_chain *chain, ration_slot *slot, size_t entry_bytes)
{
    rn_assert(entry_bytes > 0 && entry_bytes <= 16 && (entry_bytes & (entry_bytes - 1)) == 0);
    memset(chain, 0, sizeof *chain);
    chain->slot = rn_slot_of(slot);
    chain->entry_bytes = (uint32_t)entry_bytes;
    while (((size_t)entry_bytes << chain->shift) < (size_t)RN_BLOCK_BYTES) {
        chain->shift++;
    }
}

static int64_t block_bytes(const rn_chain *chain, size_t index)
{
    return index == 0 && chain->small ? RN_BLOCK_BYTES_MIN : RN_BLOCK_BYTES;
}

static ration_status grow_directory(rn_chain *chain)
{
    size_t room = chain->block_room == 0 ? 4 : chain->block_room * 2;
    char **blocks = rn_heap_allocate(room * sizeof *blocks);

    if (blocks == NULL) {
        return RATION_NO_MEMORY;
    }
    if (chain->block_count > 0) {
        memcpy(blocks, chain->blocks, chain->block_count * sizeof *blocks);
    }
    rn_heap_free(chain->blocks, chain->block_room * sizeof *blocks);
    chain->blocks = blocks;
    chain->block_room = room;
    return RATION_OK;
}

/* Replaces the small first block by one of full size. */
static ration_status replace_small(rn_chain *chain)
{
    void *block;

    RN_TRY(rn_block_acquire(chain->slot, RN_BLOCK_BYTES, &block));
    memcpy(block, chain->blocks[0], (size_t)RN_BLOCK_BYTES_MIN);
    rn_block_release(chain->slot, chain->blocks[0], RN_BLOCK_BYTES_MIN);
    chain->blocks[0] = block;
    chain->small = false;
    chain->at = chain->blocks[0] + RN_BLOCK_BYTES_MIN;
    chain->tail_end = chain->blocks[0] + RN_BLOCK_BYTES;
    return RATION_OK;
}

ration_status rn_chain_grow(rn_chain *chain)
{
    bool first = chain->block_count == 0;
    int64_t bytes = first ? RN_BLOCK_BYTES_MIN : RN_BLOCK_BYTES;
    void *block;

    if (chain->small) {
        return replace_small(chain);
    }
    if (chain->block_count == chain->block_room) {
        RN_TRY(grow_directory(chain));
    }
    RN_TRY(rn_block_acquire(chain->slot, bytes, &block));
    chain->blocks[chain->block_count++] = block;
    chain->small = first;
    chain->at = block;
    chain->tail_end = chain->at + bytes;
    return RATION_OK;
}

void rn_chain_take(rn_chain *chain, void *to)
{
    char *at = to;

    for (size_t i = 0; i < chain->block_count; i++) {
        bool last = i + 1 == chain->block_count;
        size_t filled = last ? (size_t)(chain->at - chain->blocks[i]) : (size_t)RN_BLOCK_BYTES;
        memcpy(at, chain->blocks[i], filled);
        at += filled;
        rn_block_release(chain->slot, chain->blocks[i], block_bytes(chain, i));
    }
    chain->block_count = 0;
    rn_chain_close(chain);
}

void rn_chain_close(rn_chain *chain)
{
    for (size_t i = 0; i < chain->block_count; i++) {
        rn_block_release(chain->slot, chain->blocks[i], block_bytes(chain, i));
    }
    rn_heap_free(chain->blocks, chain->block_room * sizeof *chain->blocks);
    chain->blocks = NULL;
    chain->block_count = chain->block_room = 0;
    chain->small = false;
    chain->at = chain->tail_end = NULL;
}
