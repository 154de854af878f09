/* Bounds that more than one program checks. Every length that comes from outside is checked against one of these. */
#ifndef GARASU_COMMON_LIMITS_H
#define GARASU_COMMON_LIMITS_H

#define GR_SCREEN_MIN 64 /* pixels, either side */
#define GR_SCREEN_MAX 8192 /* pixels, either side; the configuration sets a lower one */
#define GR_CURSOR_MAX 64 /* pixels, either side */
#define GR_TEXT_MAX 1024 /* bytes of UTF-8 in one committed-text record */
#define GR_CLIPBOARD_MAX 65536u /* bytes of UTF-8 in one text of the clipboard */
#define GR_BROWSER_SCALE_MIN 50 /* percent; 100: 96 pixels are an inch */
#define GR_BROWSER_SCALE_MAX 400
#define GR_PRINT_PAGES_MAX 999 /* of one document */
#define GR_PRINT_SIDE_MAX 8192 /* pixels of a page, either side */
#define GR_PRINT_DPI_MIN 150 /* dots of a page per inch */
#define GR_PRINT_DPI_MAX 300
#define GR_FRAME_RECTS_MAX 64 /* rectangles in one FRAME record */
#define GR_PERSON_MAX 32 /* bytes of a person's id: [a-z0-9][a-z0-9._-]* */
#define GR_URL_MAX 1024 /* bytes of a configured URL */
#define GR_CONTAINERS_MAX 256 /* containers of one node */
#define GR_CONNECTIONS_MAX 1024 /* viewer connections of one node */

#endif
