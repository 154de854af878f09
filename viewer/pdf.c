#include "viewer/pdf.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <turbojpeg.h>
#include <unistd.h>
#include <zlib.h>

enum {
	CATALOG = 1,
	PAGES,
	INFO,
	FIRST_OF_PAGE, /* image, contents, page: three objects each */
	OBJECTS_OF_PAGE = 3,
	OBJECTS_MAX = FIRST_OF_PAGE + OBJECTS_OF_PAGE * GR_PRINT_PAGES_MAX,
	EXACT_MAX_BYTES = 4 << 20,
	JPEG_QUALITY = 93,
	DEFLATE_LEVEL = 6,
};

/* The filters of PNG (ISO/IEC 15948, 9.2) that are tried. */
enum { FILTER_NONE, FILTER_SUB, FILTER_UP, FILTERS };

struct gr_pdf {
	FILE *stream;
	char *file, *temporary; /* temporary: NULL when there is none to remove */
	uint64_t at; /* bytes written */
	uint64_t offsets[OBJECTS_MAX]; /* by number of the object */
	unsigned pages;
	uint8_t *exact; /* EXACT_MAX_BYTES */
};

struct gr_pdf *gr_pdf_create(const char *file, struct gr_error *err)
{
	struct gr_pdf *pdf = calloc(1, sizeof(*pdf));
	static const char hidden[] = ".garasu-XXXXXX";
	const char *slash = strrchr(file, '/');
	size_t folder = slash ? (size_t)(slash + 1 - file) : 0;
	char *temporary = malloc(folder + sizeof(hidden));
	int fd = -1;
	if (pdf) {
		pdf->file = strdup(file);
		pdf->exact = malloc(EXACT_MAX_BYTES);
	}
	if (!pdf || !pdf->file || !pdf->exact || !temporary) {
		gr_error_set(err, GR_ENOMEM, "no memory for a document");
		free(temporary);
		gr_pdf_destroy(pdf);
		return NULL;
	}
	memcpy(temporary, file, folder);
	memcpy(temporary + folder, hidden, sizeof(hidden));
	fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
	if (fd < 0) {
		gr_error_errno(err, "%s", file);
		free(temporary);
		gr_pdf_destroy(pdf);
		return NULL;
	}
	pdf->temporary = temporary;
	pdf->stream = fdopen(fd, "wb");
	if (!pdf->stream) {
		gr_error_errno(err, "%s", file);
		close(fd);
		gr_pdf_destroy(pdf);
		return NULL;
	}
	/* Four bytes above 127: it is not text (7.5.2). */
	static const char head[] = "%PDF-1.4\n%\xe7\xa1\x9d\xe5\xad\n";
	fwrite(head, 1, sizeof(head) - 1, pdf->stream);
	pdf->at = sizeof(head) - 1;
	return pdf;
}

void gr_pdf_destroy(struct gr_pdf *pdf)
{
	if (!pdf)
		return;
	if (pdf->stream)
		fclose(pdf->stream);
	if (pdf->temporary)
		unlink(pdf->temporary);
	free(pdf->temporary);
	free(pdf->file);
	free(pdf->exact);
	free(pdf);
}

/* What the stream does not take is noticed by ferror, once, where a page or the document ends. */
static void write_bytes(struct gr_pdf *pdf, const void *bytes, size_t n)
{
	fwrite(bytes, 1, n, pdf->stream);
	pdf->at += n;
}

static void write_text(struct gr_pdf *pdf, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void write_text(struct gr_pdf *pdf, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vfprintf(pdf->stream, format, args);
	va_end(args);
	pdf->at += n > 0 ? (uint64_t)n : 0;
}

static void begin_object(struct gr_pdf *pdf, unsigned number)
{
	pdf->offsets[number] = pdf->at;
	write_text(pdf, "%u 0 obj\n", number);
}

/* One row of the image: its samples, B, G, R turned round, or one of the three that are alike. */
static void take_row(const uint32_t *pixels, unsigned width, int grey, uint8_t *out)
{
	for (size_t x = 0; x < width; x++) {
		uint32_t pixel = pixels[x];
		if (grey) {
			out[x] = (uint8_t)pixel;
			continue;
		}
		out[3 * x] = (uint8_t)(pixel >> 16);
		out[3 * x + 1] = (uint8_t)(pixel >> 8);
		out[3 * x + 2] = (uint8_t)pixel;
	}
}

static int has_no_colour(const uint32_t *pixels, size_t stride, unsigned width, unsigned height)
{
	for (size_t y = 0; y < height; y++)
		for (size_t x = 0; x < width; x++) {
			uint32_t pixel = pixels[y * stride + x] & 0xffffff;
			if (pixel != (pixel & 0xff) * 0x010101)
				return 0;
		}
	return 1;
}

/* Filters a row in each way and returns the one whose bytes, as differences, are smallest: what PNG's authors recommend. */
static const uint8_t *filter_row(uint8_t *const filtered[FILTERS], const uint8_t *row, const uint8_t *above,
				 size_t bytes, size_t samples)
{
	int best = FILTER_NONE;
	uint64_t least = UINT64_MAX;
	for (int filter = 0; filter < FILTERS; filter++) {
		uint8_t *out = filtered[filter];
		uint64_t sum = 0;
		out[0] = (uint8_t)filter;
		for (size_t i = 0; i < bytes; i++) {
			unsigned before = filter == FILTER_SUB  ? i >= samples ? row[i - samples] : 0
					  : filter == FILTER_UP ? above[i]
								: 0;
			out[i + 1] = (uint8_t)(row[i] - before);
			sum += (uint64_t)abs((int8_t)out[i + 1]);
		}
		if (sum < least) {
			least = sum;
			best = filter;
		}
	}
	return filtered[best];
}

/* Stores the image in pdf->exact. GR_EFULL: it is larger; GR_ENOMEM. */
static int compress_exactly(struct gr_pdf *pdf, const uint32_t *pixels, size_t stride, unsigned width, unsigned height,
			    int grey, size_t *size)
{
	size_t samples = grey ? 1 : 3, bytes = width * samples, room = bytes + 1;
	uint8_t *memory = calloc(FILTERS + 2, room);
	z_stream z = { 0 };
	if (!memory || deflateInit(&z, DEFLATE_LEVEL) != Z_OK) {
		free(memory);
		return GR_ENOMEM;
	}
	uint8_t *row = memory, *above = memory + room;
	uint8_t *filtered[FILTERS];
	for (size_t i = 0; i < FILTERS; i++)
		filtered[i] = memory + (i + 2) * room;
	z.next_out = pdf->exact;
	z.avail_out = EXACT_MAX_BYTES;
	int status = Z_OK;
	for (size_t y = 0; y < height && z.avail_out; y++) {
		take_row(pixels + y * stride, width, grey, row);
		z.next_in = (z_const Bytef *)(uintptr_t)filter_row(filtered, row, above, bytes, samples);
		z.avail_in = (uInt)room;
		status = deflate(&z, y + 1 == height ? Z_FINISH : Z_NO_FLUSH);
		uint8_t *swap = row;
		row = above;
		above = swap;
	}
	*size = EXACT_MAX_BYTES - z.avail_out;
	deflateEnd(&z);
	free(memory);
	return status == Z_STREAM_END ? 0 : GR_EFULL;
}

static int compress_as_jpeg(const uint32_t *pixels, size_t stride, unsigned width, unsigned height, int grey,
			    uint8_t **out, unsigned long *size)
{
	tjhandle handle = tjInitCompress();
	int failed = !handle ||
		     tjCompress2(handle, (const unsigned char *)pixels, (int)width, (int)(stride * 4), (int)height,
				 TJPF_BGRX, out, size, grey ? TJSAMP_GRAY : TJSAMP_444, JPEG_QUALITY, 0);
	if (handle)
		tjDestroy(handle);
	return failed ? GR_ENOMEM : 0;
}

static int check_stream(struct gr_pdf *pdf, struct gr_error *err)
{
	return fflush(pdf->stream) || ferror(pdf->stream) ? gr_error_errno(err, "%s", pdf->file) : 0;
}

int gr_pdf_page(struct gr_pdf *pdf, const uint32_t *pixels, size_t stride, unsigned width, unsigned height,
		unsigned dpi, struct gr_error *err)
{
	if (width < 1 || height < 1 || width > GR_PRINT_SIDE_MAX || height > GR_PRINT_SIDE_MAX || !dpi ||
	    pdf->pages == GR_PRINT_PAGES_MAX)
		return gr_error_set(err, GR_EINVAL, "%s: a page that is too large, or too many", pdf->file);
	int grey = has_no_colour(pixels, stride, width, height);
	size_t size = 0;
	uint8_t *jpeg = NULL;
	unsigned long jpeg_size = 0;
	int status = compress_exactly(pdf, pixels, stride, width, height, grey, &size);
	if (status == GR_EFULL)
		status = compress_as_jpeg(pixels, stride, width, height, grey, &jpeg, &jpeg_size);
	if (status) {
		tjFree(jpeg);
		return gr_error_set(err, status, "%s: no memory for a page", pdf->file);
	}

	unsigned image = FIRST_OF_PAGE + OBJECTS_OF_PAGE * pdf->pages, contents = image + 1, page = image + 2;
	/* In hundredths of a point, of which an inch has 72. */
	unsigned w = (width * 7200 + dpi / 2) / dpi, h = (height * 7200 + dpi / 2) / dpi;
	begin_object(pdf, image);
	write_text(pdf,
		   "<< /Type /XObject /Subtype /Image /Width %u /Height %u /BitsPerComponent 8 /ColorSpace /%s /Length "
		   "%zu ",
		   width, height, grey ? "DeviceGray" : "DeviceRGB", jpeg ? (size_t)jpeg_size : size);
	if (jpeg)
		write_text(pdf, "/Filter /DCTDecode >>\nstream\n");
	else
		write_text(pdf,
			   "/Filter /FlateDecode /DecodeParms << /Predictor 15 /Colors %d /BitsPerComponent 8 /Columns "
			   "%u >> "
			   ">>\nstream\n",
			   grey ? 1 : 3, width);
	write_bytes(pdf, jpeg ? jpeg : pdf->exact, jpeg ? (size_t)jpeg_size : size);
	write_text(pdf, "\nendstream\nendobj\n");
	tjFree(jpeg);

	char paint[100];
	int length = snprintf(paint, sizeof(paint), "q %u.%02u 0 0 %u.%02u 0 0 cm /I Do Q", w / 100, w % 100, h / 100,
			      h % 100);
	begin_object(pdf, contents);
	write_text(pdf, "<< /Length %d >>\nstream\n%s\nendstream\nendobj\n", length, paint);
	begin_object(pdf, page);
	write_text(pdf,
		   "<< /Type /Page /Parent %d 0 R /MediaBox [0 0 %u.%02u %u.%02u] /Contents %u 0 R /Resources << "
		   "/XObject << /I %u 0 R "
		   ">> >> >>\nendobj\n",
		   PAGES, w / 100, w % 100, h / 100, h % 100, contents, image);
	pdf->pages++;
	return check_stream(pdf, err);
}

static void write_info(struct gr_pdf *pdf)
{
	time_t now = time(NULL);
	struct tm utc = { 0 };
	char date[40] = "";
	if (gmtime_r(&now, &utc))
		strftime(date, sizeof(date), " /CreationDate (D:%Y%m%d%H%M%SZ)", &utc);
	begin_object(pdf, INFO);
	write_text(pdf, "<< /Producer (Garasu)%s >>\nendobj\n", date);
}

int gr_pdf_finish(struct gr_pdf *pdf, struct gr_error *err)
{
	unsigned objects = FIRST_OF_PAGE + OBJECTS_OF_PAGE * pdf->pages;
	if (!pdf->pages)
		return gr_error_set(err, GR_EINVAL, "%s: no page", pdf->file);
	begin_object(pdf, CATALOG);
	write_text(pdf, "<< /Type /Catalog /Pages %d 0 R >>\nendobj\n", PAGES);
	begin_object(pdf, PAGES);
	write_text(pdf, "<< /Type /Pages /Count %u /Kids [", pdf->pages);
	for (unsigned i = 0; i < pdf->pages; i++)
		write_text(pdf, "%s%u 0 R", i ? " " : "", FIRST_OF_PAGE + OBJECTS_OF_PAGE * i + 2);
	write_text(pdf, "] >>\nendobj\n");
	write_info(pdf);
	uint64_t table = pdf->at;
	write_text(pdf, "xref\n0 %u\n0000000000 65535 f \n", objects);
	for (unsigned i = CATALOG; i < objects; i++)
		write_text(pdf, "%010" PRIu64 " 00000 n \n", pdf->offsets[i]);
	write_text(pdf, "trailer\n<< /Size %u /Root %d 0 R /Info %d 0 R >>\nstartxref\n%" PRIu64 "\n%%%%EOF\n", objects,
		   CATALOG, INFO, table);
	int status = check_stream(pdf, err);
	if (!status && (fsync(fileno(pdf->stream)) || rename(pdf->temporary, pdf->file)))
		status = gr_error_errno(err, "%s", pdf->file);
	if (status)
		return status;
	free(pdf->temporary);
	pdf->temporary = NULL;
	return 0;
}
