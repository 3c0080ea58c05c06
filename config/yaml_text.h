/* SPDX-License-Identifier: Apache-2.0
 *
 * The text of a YAML file as bytes, for config/yaml.c: places in it, and what to do about what
 * libyaml says of it. */
#ifndef RATION_YAML_TEXT_H
#define RATION_YAML_TEXT_H

#include "base/base.h"

/* Line and column of a byte, both from 1: libyaml knows only the byte of unreadable text. */
void rn_yaml_find_place(const char *text, size_t length, size_t offset, int *out_line,
                        int *out_column);
/* The byte behind that many characters: libyaml's marks count those. */
size_t rn_yaml_find_byte(const char *text, size_t length, size_t characters);
/* The byte of line number `n` (from 0) of those that begin with '%'; `length` = there are fewer. */
size_t rn_yaml_find_directive(const char *text, size_t length, int n);
/* What next, for a complaint of libyaml's; "" = nothing known. `rest`: the text from there on. */
const char *rn_yaml_advise(const char *problem, bool unreadable, const char *rest, size_t length);

#endif
