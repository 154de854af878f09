#include "viewer/picture.h"
#include "viewer/window.h"
#include "viewer/window_state.h"

void gr_window_draw(struct gr_window *window, SDL_Surface *surface)
{
	gr_draw_all(window->draw, surface,
		    &(struct gr_draw_scene){
			    .viewer = window->viewer,
			    .dialog = &window->dialog,
			    .composing = window->composing,
			    .menu = &window->menu,
			    .told = window->told,
			    .frozen = window->printing.frozen,
			    .panel = window->panel.open ? &window->panel : NULL,
			    .print = window->viewer->print,
		    });
}

/* Shared with the headless case: XRGB pixels of a whole surface to a file. */
static int write_surface(SDL_Surface *surface, const char *file, struct gr_error *err)
{
	SDL_Surface *rgb = SDL_ConvertSurfaceFormat(surface, SDL_PIXELFORMAT_RGB888, 0);
	if (!rgb)
		return gr_error_set(err, GR_ENOMEM, "%s", SDL_GetError());
	int status = gr_picture_write(file, rgb->pixels, (size_t)rgb->pitch / 4, (unsigned)rgb->w, (unsigned)rgb->h,
				      err);
	SDL_FreeSurface(rgb);
	return status;
}

static SDL_Surface *new_surface(int width, int height, struct gr_error *err)
{
	SDL_Surface *surface = SDL_CreateRGBSurfaceWithFormat(0, width, height, 32, SDL_PIXELFORMAT_RGB888);
	if (!surface)
		gr_error_set(err, GR_ENOMEM, "no memory for the picture");
	return surface;
}

static int write_picture(struct gr_draw *draw, const struct gr_viewer *viewer, const char *file, struct gr_error *err)
{
	SDL_Surface *surface = new_surface(viewer->width, viewer->height, err);
	if (!surface)
		return GR_ENOMEM;
	gr_draw_picture(draw, surface, viewer);
	int status = write_surface(surface, file, err);
	SDL_FreeSurface(surface);
	return status;
}

int gr_window_picture_headless(const struct gr_viewer *viewer, int scale, const char *file, struct gr_error *err)
{
	struct gr_draw *draw = gr_draw_create(scale);
	int status = draw ? write_picture(draw, viewer, file, err)
			  : gr_error_set(err, GR_ENOMEM, "no memory for the picture");
	gr_draw_destroy(draw);
	return status;
}

int gr_window_screenshot_headless(const struct gr_viewer *viewer, int scale, const char *file, struct gr_error *err)
{
	struct gr_draw *draw = gr_draw_create(scale);
	if (!draw)
		return gr_error_set(err, GR_ENOMEM, "no memory for the picture");
	SDL_Point size = gr_draw_window_size(draw, viewer->width ? viewer->width : GR_WINDOW_WIDTH,
					     viewer->height ? viewer->height : GR_WINDOW_HEIGHT);
	SDL_Surface *surface = new_surface(size.x, size.y, err);
	int status = GR_ENOMEM;
	if (surface) {
		gr_draw_all(draw, surface, &(struct gr_draw_scene){ .viewer = viewer, .composing = "", .told = "" });
		status = write_surface(surface, file, err);
	}
	gr_draw_destroy(draw);
	SDL_FreeSurface(surface);
	return status;
}

int gr_window_screenshot(void *context, const char *file, struct gr_error *err)
{
	struct gr_window *window = context;
	SDL_Surface *surface = SDL_GetWindowSurface(window->window);
	if (!surface)
		return gr_error_set(err, GR_EIO, "%s", SDL_GetError());
	gr_window_follow_question(window);
	gr_window_draw(window, surface);
	return write_surface(surface, file, err);
}

int gr_window_picture(void *context, const char *file, struct gr_error *err)
{
	struct gr_window *window = context;
	return write_picture(window->draw, window->viewer, file, err);
}
