/*
 * unit.h
 *		What every unit test includes first: cmocka and what it needs.
 */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Locales to try, where they exist: a decimal comma, an I without a dot. */
static const char *const unit_locales[] __attribute__((unused)) = {
	"C", "C.UTF-8", "de_DE.UTF-8", "tr_TR.UTF-8",
};

#endif							/* UNIT_H */
