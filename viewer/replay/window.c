#include "viewer/replay/window.h"
#include "common/error.h"
int gr_replay_window_run(const struct gr_replay_window *settings, struct gr_error *err)
{
	(void)settings;
	return gr_error_set(err, GR_EIO, "no window yet");
}
