/* Tables for people and JSON for programs, on standard output. */
#ifndef GARASU_BROKER_ADMIN_TABLE_H
#define GARASU_BROKER_ADMIN_TABLE_H

#include <stddef.h>
#include <stdio.h>

#define GR_TABLE_COLUMNS 8

/* Columns of the terminal that UTF-8 text takes; bytes for what is not UTF-8 in this locale. */
size_t gr_table_width(const char *text);

/*
 * Prints rows of columns cells each (row after row; borrowed), aligned by the width of the widest, two blanks between
 * them; the first row is the heading. columns: 1..GR_TABLE_COLUMNS.
 */
void gr_table_print(FILE *out, const char *const *cells, size_t rows, size_t columns);

/* Prints text as a JSON string with its quotes. */
void gr_table_json(FILE *out, const char *text);

#endif
