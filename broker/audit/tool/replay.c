/* replay: a program of its own (viewer/replay/), because it needs a display, fonts and the viewer's decoder. */
#include "broker/audit/tool/tool.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

static int run(const struct gr_tool_command *command, int argc, char **argv)
{
	char self[PATH_MAX], path[PATH_MAX + 64] = "";
	ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
	struct gr_error err;

	(void)command;
	(void)argc;
	if (size > 0) {
		self[size] = '\0';
		*strrchr(self, '/') = '\0';
		/* The same in the build folder and installed. */
		snprintf(path, sizeof(path), "%s/../libexec/garasu/garasu-replay", self);
		execv(path, argv);
	}
	gr_error_errno(&err, "cannot start %s", path);
	return gr_tool_fail(&err);
}

const struct gr_tool_command gr_tool_replay = {
	"replay", "FILE --key KEY [OPTIONS]",
	"plays a recording, or makes a picture or a video of it: garasu-replay(1)", run
};
