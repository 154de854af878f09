#include "broker/admin/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

size_t gr_table_width(const char *text)
{
	mbstate_t state = { 0 };
	size_t width = 0, left = strlen(text);
	const char *at = text;

	while (left > 0) {
		wchar_t wide;
		size_t size = mbrtowc(&wide, at, left, &state);
		int columns;

		if (size == (size_t)-1 || size == (size_t)-2)
			return strlen(text);
		columns = wcwidth(wide);
		width += columns > 0 ? (size_t)columns : 0;
		at += size;
		left -= size;
	}
	return width;
}

void gr_table_print(FILE *out, const char *const *cells, size_t rows, size_t columns)
{
	size_t widest[GR_TABLE_COLUMNS] = { 0 };

	assert(columns > 0 && columns <= GR_TABLE_COLUMNS);
	for (size_t row = 0; row < rows; row++) {
		for (size_t column = 0; column < columns; column++) {
			size_t width = gr_table_width(cells[row * columns + column]);

			if (width > widest[column])
				widest[column] = width;
		}
	}
	for (size_t row = 0; row < rows; row++) {
		for (size_t column = 0; column < columns; column++) {
			const char *cell = cells[row * columns + column];
			size_t blanks = widest[column] - gr_table_width(cell) + 2;

			fputs(cell, out);
			if (column + 1 < columns)
				fprintf(out, "%*s", (int)blanks, "");
		}
		fputc('\n', out);
	}
}

void gr_table_json(FILE *out, const char *text)
{
	fputc('"', out);
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (*c == '"' || *c == '\\')
			fprintf(out, "\\%c", *c);
		else if (*c < 0x20 || *c == 0x7f)
			fprintf(out, "\\u%04x", *c);
		else
			fputc(*c, out);
	}
	fputc('"', out);
}
