/*
 * Stands in for garasu-agent where the pool is tested without an image: connects to the agent's socket and connects again
 * when that ends. How it misbehaves is the last part of the home page's path in its policy: /deaf never connects, /exit
 * ends at once, /die ends after connecting, /memory eats memory after connecting, /noisy writes without end.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int connect_once(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/run/garasu/agent.sock" };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		fprintf(stderr, "connect: %s\n", strerror(errno));
		close(fd);
		fd = -1;
	}
	return fd;
}

static void eat_memory(void)
{
	for (;;) {
		char *block = malloc(1 << 20);
		if (block)
			memset(block, 1, 1 << 20);
		__asm__ volatile("" : : "r"(block) : "memory");
	}
}

int main(void)
{
	char policy[2048] = "";
	int fd = open("/etc/chromium/policies/managed/home.json", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, policy, sizeof(policy) - 1) : -1;
	if (n <= 0)
		fprintf(stderr, "no policy\n");
	if (strstr(policy, "/exit"))
		return 3;
	if (strstr(policy, "/deaf"))
		pause();
	fprintf(stderr, "agent \x1b[31mstarts\x07\n");
	for (;;) {
		int sock = connect_once();
		if (sock >= 0) {
			if (strstr(policy, "/die")) {
				usleep(300000);
				return 5;
			}
			if (strstr(policy, "/memory")) {
				usleep(300000);
				eat_memory();
			}
			while (strstr(policy, "/noisy"))
				fprintf(stderr,
					"noise \x1b]0;title\x07 noise noise noise noise noise noise noise noise\n");
			struct pollfd poller = { .fd = sock, .events = POLLIN };
			poll(&poller, 1, -1);
			close(sock);
		}
		usleep(200000);
	}
}
