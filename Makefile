# SPDX-License-Identifier: Apache-2.0
#
# Ration. `make help` lists the targets. Every object lies in $(BUILD)/<variant>/; what the release
# variant makes is put into $(BUILD) itself, the others keep theirs apart. Safe with -j; a changed
# header, compiler or flag rebuilds what it touches.
#
#     make                      gcc, release            make VARIANT=asan test     another variant
#     make CC=clang             the other compiler      make BUILD=/tmp/x          another place

ifeq ($(origin CC),default)
CC := gcc
endif
VARIANT ?= release
BUILD ?= build
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
FUZZ_SECONDS ?= 60
SCALE ?= 0.1
SEED ?= 1
WORKLOAD ?= workloads/snb.yaml
CONFIG ?= workloads/memory.yaml

VERSION := $(shell sed -n 's/^\#define RATION_VERSION "\(.*\)"/\1/p' include/ration.h)
SONAME := libration.so.$(firstword $(subst ., ,$(VERSION)))
VARIANTS := release checked hard asan tsan ungoverned fuzz coverage

# --------------------------------------------------------------------------------------- flags

HARDENING := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong
ifeq ($(shell uname -m),x86_64)
HARDENING += -fstack-clash-protection -fcf-protection
endif
# Aligned functions: what costs a nanosecond should not depend on where the linker put it.
FLAGS_release := -O2 -g -falign-functions=64 $(HARDENING)
FLAGS_ungoverned := $(FLAGS_release) -DRATION_UNGOVERNED
# Frame pointers: call stacks are taken at every allocation (memory/sentry_stack.c).
FLAGS_checked := -O1 -g -DRATION_CHECKED -fno-omit-frame-pointer -fno-optimize-sibling-calls
# Guards settle every row, slots take exact bytes, batches and run files' blocks are tiny, and all
# that can be written out is, again and again: results must be the same.
FLAGS_hard := $(FLAGS_checked) -DRATION_HARD
FLAGS_asan := $(FLAGS_checked) -fsanitize=address,undefined -fno-sanitize-recover=undefined
FLAGS_tsan := $(FLAGS_checked) -fsanitize=thread
FLAGS_fuzz := $(FLAGS_checked) -fsanitize=fuzzer-no-link,address,undefined \
              -fno-sanitize-recover=undefined
FLAGS_coverage := -O0 -g --coverage -fprofile-update=atomic -DRATION_COVERAGE
ifeq ($(filter $(VARIANT),$(VARIANTS)),)
$(error VARIANT=$(VARIANT) is not one of: $(VARIANTS))
endif

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Werror
C_FLAGS := -std=c11 -D_GNU_SOURCE -Iinclude -I. $(WARNINGS) -pthread -fexceptions -fPIC \
           -fvisibility=hidden -fno-semantic-interposition $(FLAGS_$(VARIANT)) $(CFLAGS)
LD_FLAGS := -pthread $(filter -fsanitize=% --coverage,$(FLAGS_$(VARIANT))) -Wl,-z,relro,-z,now \
            $(LDFLAGS)
# Asked for when a recipe runs: the package may have been installed by `deps` just before.
YAML_FLAGS = $(shell pkg-config --cflags yaml-0.1)
YAML_LIBS = $(shell pkg-config --libs yaml-0.1)
# hwloc, where its header is; HWLOC=no: without.
HWLOC ?= yes
HWLOC_FLAGS = $(if $(filter no,$(HWLOC)),,$(shell pkg-config --exists hwloc 2>/dev/null && \
    echo -DRATION_HWLOC $$(pkg-config --cflags hwloc)))
CHECK_FLAGS = $(shell pkg-config --cflags check)
CHECK_LIBS = $(shell pkg-config --libs check)

# --------------------------------------------------------------------------------------- files

OBJECTS_IN := $(BUILD)/$(VARIANT)
PRODUCTS_IN := $(if $(filter release,$(VARIANT)),$(BUILD),$(OBJECTS_IN))
LIBRARY := $(PRODUCTS_IN)/libration.a
SHARED := $(PRODUCTS_IN)/libration.so.$(VERSION)
PROGRAM := $(PRODUCTS_IN)/ration

FLOORS := base memory memory/machine config storage executor iterators
LIBRARY_SOURCES := $(foreach floor,$(FLOORS),$(sort $(wildcard $(floor)/*.c))) \
                   $(sort $(wildcard adapters/*.c))
CLI_SOURCES := $(sort $(wildcard cli/*.c))
TEST_SOURCES := $(sort $(wildcard tests/*/test_*.c))
# What all tests share, and what those of one folder share.
SUPPORT_SOURCES := $(sort $(wildcard tests/*.c))
HELPER_SOURCES := $(filter-out $(TEST_SOURCES) tests/fuzz/%,$(sort $(wildcard tests/*/*.c)))
EXAMPLE_SOURCES := $(sort $(wildcard docs/examples/*.c))
BENCH_SOURCES := $(sort $(wildcard bench/*.c))
# bench/parts/NAME_*.c: the rest of bench/NAME.c, where one file is not enough.
BENCH_PART_SOURCES := $(sort $(wildcard bench/parts/*.c))
FUZZ_SOURCES := $(sort $(wildcard tests/fuzz/fuzz_*.c))
SHELL_TESTS := $(sort $(wildcard tests/*/test_*.sh))
SOURCES := $(LIBRARY_SOURCES) $(CLI_SOURCES) $(TEST_SOURCES) $(SUPPORT_SOURCES) $(HELPER_SOURCES) \
           $(EXAMPLE_SOURCES) $(BENCH_SOURCES) $(BENCH_PART_SOURCES)
HEADERS := $(sort $(wildcard */*.h memory/machine/*.h tests/*/*.h))
# tests/points: compiled with what they test once more, so that threads can be held inside of it.
POINTS_SOURCES := $(sort $(wildcard tests/points/*.c base/*.c memory/*.c memory/machine/*.c))

object = $(patsubst %.c,$(OBJECTS_IN)/%.o,$(1))
program = $(patsubst %.c,$(OBJECTS_IN)/%,$(1))
helpers = $(filter $(dir $(1))%,$(call object,$(HELPER_SOURCES)))
parts = $(filter $(dir $(1))parts/$(notdir $(1))_%,$(call object,$(BENCH_PART_SOURCES)))
OBJECTS := $(call object,$(SOURCES) $(FUZZ_SOURCES))
TESTS := $(call program,$(TEST_SOURCES))
CLI_TESTS := $(filter $(OBJECTS_IN)/tests/cli/%,$(TESTS))
EXAMPLES := $(call program,$(EXAMPLE_SOURCES))
BENCHES := $(call program,$(BENCH_SOURCES))
SPILL_BENCH := $(OBJECTS_IN)/bench/spill
# What the tests of a machine that changes look at it with.
WATCH := $(OBJECTS_IN)/tests/governing/watch
FUZZERS := $(call program,$(FUZZ_SOURCES))
POINTS_OBJECTS := $(patsubst %.c,$(OBJECTS_IN)/points/%.o,$(POINTS_SOURCES))
POINTS_TESTS := $(filter $(OBJECTS_IN)/tests/points/%,$(TESTS))
POINTS_LIBRARY := $(OBJECTS_IN)/points/libration.a
MUTANT_TESTS := $(addprefix $(OBJECTS_IN)/,$(sort $(shell \
    sed -n 's/^killed by \([^ ]*\) .*/\1/p' tests/mutants/*.mutant)))
SIM_TEST := $(OBJECTS_IN)/tests/sim/test_sim
# What tests/sim/wraps.c puts in place of functions that block, or look at the clock.
SIM_WRAPS = $(addprefix -Wl$(shell echo ,)--wrap=,$(shell grep -oh '__wrap_[a-z_0-9]*' \
    tests/sim/wraps.c | sed 's/__wrap_//' | sort -u))
COVERAGE_TESTS := $(filter $(foreach test,memory/% points/% executor/test_query% \
    executor/test_guard% executor/test_ask% executor/test_hand_over% executor/test_slots% \
    executor/test_settle%,$(OBJECTS_IN)/tests/$(test)),$(TESTS))

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDEXPANSION:
.SECONDARY: $(OBJECTS) $(POINTS_OBJECTS)
.PHONY: all deps deps-test test replay check-all matrix memcheck lint headers consumer schema tidy \
        format fuzz fuzz-run stress sim mutants coverage coverage-run cross install clean help FORCE

# --------------------------------------------------------------------------------------- targets

all: $(LIBRARY) $(PROGRAM) $(if $(filter release,$(VARIANT)),$(SHARED))
all: ## builds the library, static and shared, and build/ration

help: ## lists the targets
	@awk -F ':.*## ' '/^[a-z-]+%?:.*## / { sub("%", "NAME", $$1); \
	    printf "  make %-12s %s\n", $$1, $$2 }' \
	    $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  variables: CC=gcc|clang  VARIANT=$(subst $() ,|,$(VARIANTS))  BUILD=build  HWLOC=yes|no"

deps: ## installs what is missing: compiler, pkg-config, libyaml, xxhash, check
	@tools/deps build '$(CC)'

deps-test: | deps ## and what tests need besides: spin, relacy, g++; without, those are skipped
	@tools/deps test '$(CC)' || echo "deps: the tests that need these are skipped"

test: $(TESTS) $(EXAMPLES) $(PROGRAM) $(SPILL_BENCH) $(WATCH) | deps-test
test: ## builds and runs every test program
	@RATION='$(PROGRAM)' SPILL='$(SPILL_BENCH)' WATCH='$(WATCH)' \
	    tools/run-tests $(TESTS) $(EXAMPLES) $(SHELL_TESTS)

replay: $(PROGRAM) $(BUILD)/snb/manifest.yaml ## runs concurrent queries inside a memory limit
	$(PROGRAM) replay $(WORKLOAD) --config $(CONFIG) --graph $(BUILD)/snb/manifest.yaml

$(BUILD)/snb/manifest.yaml: $(BUILD)/snb.options | $(PROGRAM)
	$(PROGRAM) generate --scale $(SCALE) --seed $(SEED) --out $(BUILD)/snb
	@touch $@

check-all: ## everything: compilers, variants, valgrind, linters, headers, fuzzing, installing
	@tools/deps check-all '$(CC)'
	$(MAKE) --no-print-directory tidy headers
	$(MAKE) --no-print-directory matrix
	$(MAKE) --no-print-directory memcheck
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory mutants coverage cross
	$(MAKE) --no-print-directory stress
	$(MAKE) --no-print-directory VARIANT=checked BUILD=$(BUILD)/checked sim
	$(MAKE) --no-print-directory consumer schema
	$(MAKE) --no-print-directory fuzz
	@echo "check-all: passed"

matrix: ## runs the tests with both compilers in every variant
	@set -e; for variant in release checked hard asan tsan; do for cc in gcc clang; do \
	    echo "== $$cc $$variant"; \
	    $(MAKE) --no-print-directory CC=$$cc VARIANT=$$variant BUILD=$(BUILD)/$$cc test; \
	done; done
	$(MAKE) --no-print-directory VARIANT=ungoverned all

memcheck: $(TESTS) ## runs the test programs under valgrind
	@RATION='$(PROGRAM)' CK_TIMEOUT_MULTIPLIER=30 RUN_UNDER="valgrind -q --error-exitcode=99 \
	    --leak-check=full --errors-for-leak-kinds=definite,possible \
	    --suppressions=tools/valgrind.supp" tools/run-tests $(TESTS)

STRESS_TESTS := $(addprefix $(OBJECTS_IN)/tests/memory/,test_stress test_twin test_shelf_threads)
stress: $(STRESS_TESTS) ## long forms: 10^8 charges under 10^6 recalls, 10^7 steps beside the twin
	@RATION_STRESS=long JOBS=1 TEST_SECONDS=7200 tools/run-tests $(STRESS_TESTS)

SEEDS ?= $(if $(filter command line,$(origin SEED)),1,2000)
sim: $(SIM_TEST) ## plays SEEDS seeds from SEED on: many queries in simulated time (tests/sim)
	@CK_FORK=no CK_DEFAULT_TIMEOUT=0 RATION_SEED=$(SEED) RATION_SEEDS=$(SEEDS) $(SIM_TEST)

mutants: $(MUTANT_TESTS) $(LIBRARY) $(POINTS_LIBRARY)
mutants: ## breaks the protocol on purpose; a test must go red each time
	@MUTANTS_CC='$(CC)' MUTANTS_FLAGS='$(C_FLAGS) $(CHECK_FLAGS)' MUTANTS_LINK='$(CC) $(LD_FLAGS)' \
	    MUTANTS_LIBRARIES='$(YAML_LIBS) $(CHECK_LIBS) -lm' MUTANTS_OBJECTS='$(OBJECTS_IN)' \
	    MUTANTS_LIBRARY='$(LIBRARY)' tests/mutants/test_mutants.sh

coverage: ## lines and branches of the core that tests take; the others must be named
	@$(MAKE) --no-print-directory CC=gcc VARIANT=coverage coverage-run

coverage-run: $(COVERAGE_TESTS) $(PROGRAM)
	@find $(OBJECTS_IN) -name '*.gcda' -delete
	@RATION='$(PROGRAM)' CK_TIMEOUT_MULTIPLIER=3 tools/run-tests $(COVERAGE_TESTS)
	@tools/run-tests $(filter %/test_shared_steps,$(COVERAGE_TESTS)) # skipped where threads are slow
	@tests/coverage/report $(OBJECTS_IN)

cross: | deps ## compiles the library for AArch64 and shows what a charge becomes there
	@tools/cross '$(BUILD)/cross' $(filter-out -fcf-protection,$(C_FLAGS)) -- $(LIBRARY_SOURCES)

lint: ## runs clang-tidy and cppcheck
	@printf '%s\n' $(LIBRARY_SOURCES) $(CLI_SOURCES) | xargs -P 2 -I FILE \
	    clang-tidy --quiet FILE -- -std=c11 -D_GNU_SOURCE -DRATION_CHECKED -Iinclude -I.
	cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr \
	    --enable=warning,portability,performance --suppressions-list=tools/cppcheck.suppress \
	    -D_GNU_SOURCE -D__linux__ -Iinclude -I. $(LIBRARY_SOURCES) $(CLI_SOURCES)

STRICT := -pedantic-errors -Wall -Wextra -Wconversion -Werror -fsyntax-only
headers: | deps ## compiles each header alone; the public ones as C99, C11 and C++17
	@for standard in c99 c11; do \
	    for header in include/*.h; do echo "#include \"$(CURDIR)/$$header\"" | \
	    $(CC) -x c -std=$$standard $(STRICT) -Iinclude - || exit 1; done; done
	@if echo | $(CC) -x c++ -fsyntax-only - 2>/dev/null; then \
	    for header in include/*.h adapters/*.hpp; do echo "#include \"$(CURDIR)/$$header\"" | \
	    $(CC) -x c++ -std=c++17 $(STRICT) -Iinclude - || exit 1; done; \
	else echo "headers: $(CC) knows no C++, C++17 skipped"; fi
	@for header in $(HEADERS); do echo "#include \"$$header\"" | \
	    $(CC) $(filter-out -fsanitize=%,$(C_FLAGS)) $(CHECK_FLAGS) -Wno-unused-function -fsyntax-only \
	    -x c - || { echo "$$header does not compile alone"; exit 1; }; done
	@echo "headers: $(words $(HEADERS)) compile alone"

consumer: all ## installs into a scratch folder and compiles a program against it
	@tools/try-install '$(MAKE)' '$(CC)' '$(BUILD)' '$(VERSION)'

schema: $(PROGRAM) ## opens memory.yaml files in a YAML language server, as an editor does
	@tools/try-schema '$(PROGRAM)' '$(BUILD)/schema'

tidy: ## checks floors, rule of one, documentation, length of lines and functions
	@tools/tidy

format: ## formats the sources with clang-format
	clang-format -i $(SOURCES) $(FUZZ_SOURCES) $(HEADERS)

fuzz: ## runs every fuzz target for FUZZ_SECONDS
	@$(MAKE) --no-print-directory CC=clang VARIANT=fuzz fuzz-run

fuzz-run: $(FUZZERS)
	@for fuzzer in $(FUZZERS); do name=$$(basename $$fuzzer); found=$(OBJECTS_IN)/corpus/$$name; \
	    mkdir -p $$found; seeds=tests/fuzz/corpus/$${name#fuzz_}; test -d $$seeds || seeds=; \
	    echo "== $$name, $(FUZZ_SECONDS) s"; \
	    $$fuzzer -max_total_time=$(FUZZ_SECONDS) -timeout=20 -rss_limit_mb=1024 -verbosity=0 \
	    -print_final_stats=1 -artifact_prefix=$(OBJECTS_IN)/ $$found $$seeds || exit 1; done

bench-%: all ## runs bench/NAME.sh, which prints a table and writes build/bench/NAME.json
	@mkdir -p $(BUILD)/bench
	BUILD='$(BUILD)' RATION='$(PROGRAM)' bench/$*.sh

install: all ## copies library, headers, ration.pc, program, schema, documents below DESTDIR PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include/ration \
	    $(DESTDIR)$(LIBDIR)/pkgconfig \
	    $(DESTDIR)$(PREFIX)/share/doc/ration $(DESTDIR)$(PREFIX)/share/ration
	install -m 644 memory.yaml memory.schema.json $(DESTDIR)$(PREFIX)/share/ration
	install -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/ration
	install -m 644 include/*.h $(DESTDIR)$(PREFIX)/include
	install -m 644 adapters/*.h adapters/*.hpp $(DESTDIR)$(PREFIX)/include/ration
	install -m 644 $(LIBRARY) $(DESTDIR)$(LIBDIR)/libration.a
	install -m 755 $(SHARED) $(DESTDIR)$(LIBDIR)/libration.so.$(VERSION)
	ln -sf libration.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libration.so
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' \
	    tools/ration.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/ration.pc
	install -m 644 README.md LICENSE CHANGELOG.md docs/limits.md docs/plans.md docs/graphs.md \
	    $(DESTDIR)$(PREFIX)/share/doc/ration

clean: ## removes the build folder
	rm -rf $(BUILD)

# --------------------------------------------------------------------------------------- rules

# Files that hold what things were made with, and are touched only when that changes.
remember = @mkdir -p $(@D); echo '$(1)' > $@.now; cmp -s $@.now $@ || cp $@.now $@; rm $@.now
$(OBJECTS_IN)/flags: FORCE | deps
	$(call remember,$(CC) $(C_FLAGS) $(LD_FLAGS) $(HWLOC_FLAGS))
$(OBJECTS_IN)/members: FORCE | deps
	$(call remember,$(LIBRARY_SOURCES) $(CLI_SOURCES))
$(BUILD)/snb.options: FORCE
	$(call remember,$(SCALE) $(SEED))

$(OBJECTS_IN)/config/yaml.o: EXTRA_FLAGS = $(YAML_FLAGS)
$(OBJECTS_IN)/memory/machine/topology.o: EXTRA_FLAGS = $(HWLOC_FLAGS)
$(OBJECTS_IN)/tests/%.o: EXTRA_FLAGS = $(CHECK_FLAGS)
$(OBJECTS_IN)/points/%.o: EXTRA_FLAGS = -DRATION_POINTS $(CHECK_FLAGS)
ifeq ($(VARIANT),coverage) # the edges of exceptions are no branches of the source
$(OBJECTS_IN)/memory/%.o: EXTRA_FLAGS = -fno-exceptions
$(OBJECTS_IN)/points/memory/%.o: EXTRA_FLAGS = -DRATION_POINTS -fno-exceptions
endif
define compile
@mkdir -p $(@D)
@echo "  CC   $<"
@$(CC) $(C_FLAGS) $(EXTRA_FLAGS) -MMD -MP -c $< -o $@
endef
$(OBJECTS_IN)/%.o: %.c $(OBJECTS_IN)/flags | deps
	$(compile)
$(POINTS_OBJECTS): $(OBJECTS_IN)/points/%.o: %.c $(OBJECTS_IN)/flags | deps
	$(compile)

# `members` is a prerequisite so that a source file that was removed leaves what it was linked into.
$(LIBRARY): $(call object,$(LIBRARY_SOURCES)) $(OBJECTS_IN)/members
	@mkdir -p $(@D)
	@echo "  AR   $@"
	@rm -f $@
	@ar qcs $@ $(filter %.o,$^)

$(POINTS_LIBRARY): $(filter-out $(OBJECTS_IN)/points/tests/%,$(POINTS_OBJECTS)) \
                   $(OBJECTS_IN)/members
	@echo "  AR   $@"
	@rm -f $@
	@ar qcs $@ $(filter %.o,$^)

$(SHARED): $(call object,$(LIBRARY_SOURCES)) $(OBJECTS_IN)/members tools/ration.map
	@echo "  LD   $@"
	@$(CC) $(LD_FLAGS) -shared -Wl,-soname,$(SONAME) -Wl,--version-script=tools/ration.map \
	    -Wl,--no-undefined -o $@ $(filter %.o,$^) $(YAML_LIBS) -lm
	@ln -sf $(@F) $(@D)/$(SONAME)
	@ln -sf $(SONAME) $(@D)/libration.so

link = @echo "  LD   $@"; \
       $(CC) $(LD_FLAGS) $(1) -o $@ $(filter %.o,$^) $(LIBRARY) $(YAML_LIBS) $(2) -lm

$(PROGRAM): $(call object,$(CLI_SOURCES)) $(OBJECTS_IN)/members $(LIBRARY)
	$(call link)
$(CLI_TESTS): $(filter-out $(OBJECTS_IN)/cli/main.o,$(call object,$(CLI_SOURCES)))
$(filter-out $(POINTS_TESTS) $(SIM_TEST),$(TESTS)): $(OBJECTS_IN)/%: $(OBJECTS_IN)/%.o \
          $(call object,$(SUPPORT_SOURCES)) $(LIBRARY) $$(call helpers,$$@)
	$(call link,,$(CHECK_LIBS))
$(SIM_TEST): $(OBJECTS_IN)/%: $(OBJECTS_IN)/%.o $(call object,$(SUPPORT_SOURCES)) $(LIBRARY) \
          $$(call helpers,$$@) $$(call helpers,$(OBJECTS_IN)/tests/reference/)
	$(call link,$(SIM_WRAPS),$(CHECK_LIBS))
$(POINTS_TESTS): $(OBJECTS_IN)/tests/points/%: $(OBJECTS_IN)/points/tests/points/%.o \
          $(OBJECTS_IN)/points/tests/points/points.o $(POINTS_LIBRARY)
	@mkdir -p $(@D)
	@echo "  LD   $@"
	@$(CC) $(LD_FLAGS) -o $@ $^ $(CHECK_LIBS) -lm
ifeq ($(VARIANT),coverage)
$(TESTS): $(OBJECTS_IN)/tests/coverage/leave.o
endif
$(EXAMPLES) $(BENCHES) $(WATCH): $(OBJECTS_IN)/%: $(OBJECTS_IN)/%.o $(LIBRARY) $$(call parts,$$@)
	$(call link)
$(FUZZERS): $(OBJECTS_IN)/%: $(OBJECTS_IN)/%.o $(LIBRARY)
	$(call link,-fsanitize=fuzzer)

-include $(OBJECTS:.o=.d) $(POINTS_OBJECTS:.o=.d)
