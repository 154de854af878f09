#include "viewer/picture.h"

#include <fcntl.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* libpng returns here by longjmp; nothing that changes after setjmp is a local variable of this function. */
static int encode(png_structp png, png_infop info, FILE *stream, const uint32_t *pixels, size_t stride, unsigned width,
		  unsigned height, png_bytep row)
{
	if (setjmp(png_jmpbuf(png)))
		return GR_EIO;
	png_init_io(png, stream);
	png_set_IHDR(png, info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
		     PNG_FILTER_TYPE_DEFAULT);
	png_set_compression_level(png, 3);
	png_write_info(png, info);
	for (size_t y = 0; y < height; y++) {
		for (size_t x = 0; x < width; x++) {
			uint32_t pixel = pixels[y * stride + x];
			row[3 * x] = (png_byte)(pixel >> 16);
			row[3 * x + 1] = (png_byte)(pixel >> 8);
			row[3 * x + 2] = (png_byte)pixel;
		}
		png_write_row(png, row);
	}
	png_write_end(png, info);
	return 0;
}

int gr_picture_write(const char *file, const uint32_t *pixels, size_t stride, unsigned width, unsigned height,
		     struct gr_error *err)
{
	char temporary[4096];
	if (snprintf(temporary, sizeof(temporary), "%s.part", file) >= (int)sizeof(temporary))
		return gr_error_set(err, GR_EINVAL, "%s: the name is too long", file);
	int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *stream = fd < 0 ? NULL : fdopen(fd, "wb");
	if (!stream) {
		int status = gr_error_errno(err, "%s", temporary);
		if (fd >= 0)
			close(fd);
		return status;
	}
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop info = png ? png_create_info_struct(png) : NULL;
	png_bytep row = malloc((size_t)width * 3);
	int status = info && row ? encode(png, info, stream, pixels, stride, width, height, row) : GR_ENOMEM;
	free(row);
	png_destroy_write_struct(&png, &info);
	if (fclose(stream) != 0 && !status)
		status = GR_EIO;
	if (!status && rename(temporary, file) == 0)
		return 0;
	if (status)
		gr_error_set(err, status, "%s: cannot be written", file);
	else
		status = gr_error_errno(err, "%s", file);
	unlink(temporary);
	return status;
}
