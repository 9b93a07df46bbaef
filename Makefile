# clari_export: Clari's revenue forecasts in PostgreSQL
#
#   make                build for the PostgreSQL of pg_config
#   make install        install it there
#   make installcheck   run pg_regress and the TAP tests with it, on servers of their own
#   make unit           run the core's unit tests
#
# Options: PG_CONFIG=/path/to/pg_config, STRICT=1 (warnings are errors).

EXTENSION = clari_export
DATA = src/clari_export--1.0.sql
MODULE_big = clari_export
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/core/*.c)))

# pg_regress starts a server of its own, as the TAP tests do.
REGRESS_OPTS = --temp-instance=tmp_instance --encoding=UTF8 --no-locale
REGRESS = $(sort $(patsubst sql/%.sql,%,$(wildcard sql/*.sql)))
TAP_TESTS = 1
PROVE_TESTS = test/t/*.pl
PROVE_FLAGS = -I test/perl
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
$(call require,json-c,0.15,libjson-c-dev)

endif

PG_CPPFLAGS = -I$(srcdir)/src $(shell $(PKG_CONFIG) --cflags libcurl json-c)
SHLIB_LINK = $(shell $(PKG_CONFIG) --libs libcurl json-c)

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
$(OBJS): $(wildcard src/*.h src/core/*.h)
