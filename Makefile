# clari_export: Clari's revenue forecasts in PostgreSQL
#
#   make                build for the PostgreSQL of pg_config
#   make install        install it there
#   make installcheck   run pg_regress and the TAP tests with it, on servers of their own
#   make unit           run the core's unit tests
#   make unit-valgrind  run them under valgrind
#   make stage          make what the TAP tests stand on
#
# Options: PG_CONFIG=/path/to/pg_config, STRICT=1 (warnings are errors).

EXTENSION = clari_export
DATA = src/clari_export--1.0.sql
MODULE_big = clari_export
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))

# pg_regress starts a server of its own, as the TAP tests do.
REGRESS_OPTS = --temp-instance=tmp_instance --encoding=UTF8 --no-locale
REGRESS = $(sort $(patsubst sql/%.sql,%,$(wildcard sql/*.sql)))
TAP_TESTS = 1
PROVE_TESTS = test/t/*.pl
override PROVE_FLAGS += -I test/perl
EXTRA_CLEAN = build tmp_instance

PKG_CONFIG ?= pkg-config
PG_CONFIG ?= pg_config

ifeq ($(filter clean distclean,$(MAKECMDGOALS)),)

# Stop with the name of the Debian package if a library is missing or too old.
require = $(if $(shell $(PKG_CONFIG) --exists '$(1) >= $(2)' 2>&1 && echo found),,\
	$(error $(1) $(2) or later is missing: apt-get install $(3)))

ifeq ($(shell command -v $(PKG_CONFIG)),)
$(error pkg-config is missing: apt-get install pkg-config)
endif
ifeq ($(shell command -v $(PG_CONFIG)),)
$(error pg_config is missing: apt-get install postgresql-server-dev-all)
endif
ifeq ($(wildcard $(shell $(PG_CONFIG) --pgxs)),)
$(error PostgreSQL's server headers are missing: apt-get install postgresql-server-dev-all)
endif
$(call require,libcurl,7.85,libcurl4-openssl-dev)

endif

PG_CPPFLAGS = -I$(srcdir)/src $(shell $(PKG_CONFIG) --cflags libcurl)
SHLIB_LINK = $(shell $(PKG_CONFIG) --libs libcurl)

# Servers load modules into one name space: show only what they look up here.
ifeq ($(shell uname),Linux)
SHLIB_LINK += -Wl,--version-script=$(srcdir)/src/clari_export.map
endif

ifdef STRICT
PG_CPPFLAGS += -isystem $(shell $(PG_CONFIG) --includedir-server)
PG_CFLAGS += -Wall -Wextra -Werror
ifneq ($(findstring clang,$(CC)),)
# Some flags and attributes come from the gcc that built PostgreSQL.
PG_CFLAGS += -Wno-unknown-warning-option -Wno-ignored-optimization-argument -Wno-ignored-attributes
endif
endif

# Bitcode would serve only to inline SQL functions that take no time.
override with_llvm := no

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# Every object depends on every header: there are few, and all are small.
$(OBJS): $(wildcard src/*.h src/*/*.h)

# What the TAP tests and the demonstration stand on: slow names, clocks that are wrong, and certificates.
STAGE = build/stage/slow_names.so build/stage/fast_clock.so build/stage/set_clock.so build/stage/server.pem

build/stage/%.so: $(srcdir)/test/stage/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -fPIC -shared $< -o $@ -ldl

build/stage/server.pem: $(srcdir)/test/stage/make_certificates
	@mkdir -p $(@D)
	$< $(@D) >$(@D)/openssl.log 2>&1 || { cat $(@D)/openssl.log; exit 1; }

.PHONY: stage
stage: $(STAGE)
installcheck: $(STAGE)

# The core's unit tests. The core is plain C, so PostgreSQL's flags stay out. cmocka 2 deprecates assertions
# for which cmocka 1 has nothing else.
UNIT_CFLAGS = $(call require,cmocka,1.1,libcmocka-dev)\
	-std=gnu11 -g -O2 -Wall -Wextra -Werror -Wno-deprecated-declarations -Isrc -Itest/unit $(shell $(PKG_CONFIG) --cflags cmocka)
UNIT_LIBS = $(shell $(PKG_CONFIG) --libs cmocka) -lm
UNIT_TESTS = $(patsubst test/unit/%.c,build/unit/%,$(sort $(wildcard test/unit/test_*.c)))
UNIT_OBJS = build/unit/virtual_clari.o $(patsubst src/core/%.c,build/unit/core/%.o,$(wildcard src/core/*.c))

build/unit/core/%.o: src/core/%.c $(wildcard src/core/*.h)
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -c $< -o $@

build/unit/%.o: test/unit/%.c $(wildcard src/core/*.h test/unit/*.h)
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -c $< -o $@

build/unit/test_%: build/unit/test_%.o $(UNIT_OBJS)
	$(CC) $^ $(UNIT_LIBS) -o $@

# Locales that the core must not notice, where Debian's package locales has their sources.
UNIT_LOCALES = $(patsubst /usr/share/i18n/locales/%,build/unit/locale/%.UTF-8,\
	$(wildcard /usr/share/i18n/locales/de_DE /usr/share/i18n/locales/tr_TR))

build/unit/locale/%.UTF-8:
	@mkdir -p $(@D)
	localedef --inputfile=$* --charmap=UTF-8 $@

# Run every test, fail if one failed. Valgrind takes its time: fewer sequences.
.PHONY: unit unit-valgrind
.SECONDARY: $(UNIT_TESTS:=.o) $(UNIT_OBJS)
run_unit_tests = @failed=0; for test in $(UNIT_TESTS); do $(1) $$test || failed=1; done; exit $$failed

unit: $(UNIT_TESTS) $(UNIT_LOCALES)
	$(call run_unit_tests,LOCPATH=build/unit/locale)

# With LOCPATH, newlocale() of the C library itself leaks.
unit-valgrind: $(UNIT_TESTS)
	$(call run_unit_tests,CLARI_UNIT_SEQUENCES=2000 valgrind --quiet \
		--error-exitcode=1 --leak-check=full --show-leak-kinds=all)
