/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of functions for reports: rn_symbol_find.
 *
 * Most of our functions are static or hidden, and the loader knows neither; the symbol table of the
 * file does. It is read piece by piece into the stack, once per frame: the process is about to end,
 * and its heap is not to be trusted. A file that is no 64-bit ELF, or is stripped, has no names.
 *
 * Rejected: exporting every function (-rdynamic): hidden and static ones still have no name.
 */
#include "memory/alarm.h"

#ifdef RATION_CHECKED

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#define SYMBOLS_AT_ONCE 128

static bool read_at(int file, uint64_t offset, void *bytes, size_t count)
{
    size_t done = 0;
    while (done < count) {
        ssize_t step = pread(file, (char *)bytes + done, count - done, (off_t)(offset + done));
        if (step <= 0) {
            return false;
        }
        done += (size_t)step;
    }
    return true;
}

/* The function around `address`; its name is at an offset of the string table. */
static bool find_function(int file, const Elf64_Shdr *table, uintptr_t address,
                          Elf64_Sym *out_symbol)
{
    Elf64_Sym symbols[SYMBOLS_AT_ONCE];
    uint64_t left = table->sh_size / sizeof(Elf64_Sym);
    uint64_t offset = table->sh_offset;
    while (left > 0) {
        uint64_t count = RN_MIN(left, SYMBOLS_AT_ONCE);
        if (!read_at(file, offset, symbols, count * sizeof(Elf64_Sym))) {
            return false;
        }
        for (uint64_t i = 0; i < count; i++) {
            if (ELF64_ST_TYPE(symbols[i].st_info) == STT_FUNC && address >= symbols[i].st_value &&
                address - symbols[i].st_value < symbols[i].st_size) {
                *out_symbol = symbols[i];
                return true;
            }
        }
        left -= count;
        offset += count * sizeof(Elf64_Sym);
    }
    return false;
}

static bool find_in_file(int file, uintptr_t address, char *name, size_t capacity,
                         uintptr_t *out_start)
{
    Elf64_Ehdr head;
    if (!read_at(file, 0, &head, sizeof(head)) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
        head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_shentsize != sizeof(Elf64_Shdr)) {
        return false;
    }
    Elf64_Shdr table, names;
    bool found = false;
    for (uint16_t i = 0; i < head.e_shnum && !found; i++) {
        if (!read_at(file, head.e_shoff + (uint64_t)i * sizeof(table), &table, sizeof(table))) {
            return false;
        }
        found = table.sh_type == SHT_SYMTAB;
    }
    Elf64_Sym symbol;
    if (!found || !find_function(file, &table, address, &symbol) ||
        !read_at(file, head.e_shoff + (uint64_t)table.sh_link * sizeof(names), &names,
                 sizeof(names)) ||
        symbol.st_name >= names.sh_size) {
        return false;
    }
    size_t count = RN_MIN(capacity - 1, names.sh_size - symbol.st_name);
    if (!read_at(file, names.sh_offset + symbol.st_name, name, count)) {
        return false;
    }
    name[count] = '\0';
    *out_start = symbol.st_value;
    return true;
}

bool rn_symbol_find(const char *path, uintptr_t address, char *name, size_t capacity,
                    uintptr_t *out_start)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return false;
    }
    bool found = find_in_file(file, address, name, capacity, out_start);
    (void)close(file);
    return found;
}

#endif
