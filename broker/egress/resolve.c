#include "broker/egress/resolve.h"

#include <ares.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>

#define HOSTS_MAX 4096 /* names of /etc/hosts */
#define QUERY_MS 2000 /* first wait for an answer; c-ares lengthens it */
#define TRIES 3

struct host {
	char *name;
	struct gr_address address;
};

struct socket_watch {
	struct socket_watch *next;
	ares_socket_t fd;
	struct gr_loop_watch *watch;
};

struct gr_resolver {
	struct gr_loop *loop;
	struct gr_loop_timer *timer;
	ares_channel channel;
	int library;
	struct socket_watch *sockets;
	struct host *hosts;
	unsigned host_count;
};

struct gr_resolve_query {
	gr_resolved resolved; /* NULL: cancelled */
	void *context;
	struct gr_resolve_query **place; /* where the asker keeps it, during gr_resolver_ask */
};

static void arm(struct gr_resolver *resolver)
{
	struct timeval left;
	/* NULL when no query is under way: nothing wakes an idle process. */
	if (!ares_timeout(resolver->channel, NULL, &left))
		gr_loop_timer_set(resolver->timer, -1);
	else
		gr_loop_timer_set(resolver->timer, (int64_t)left.tv_sec * 1000 + left.tv_usec / 1000 + 1);
}

static void timer_expired(void *context)
{
	struct gr_resolver *resolver = context;
	ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm(resolver);
}

static void socket_ready(void *context, int fd, unsigned events)
{
	struct gr_resolver *resolver = context;
	ares_process_fd(resolver->channel, events & GR_LOOP_READ ? fd : ARES_SOCKET_BAD,
			events & GR_LOOP_WRITE ? fd : ARES_SOCKET_BAD);
	arm(resolver);
}

static void socket_changed(void *context, ares_socket_t fd, int readable, int writable)
{
	struct gr_resolver *resolver = context;
	unsigned events = (readable ? (unsigned)GR_LOOP_READ : 0u) | (writable ? (unsigned)GR_LOOP_WRITE : 0u);
	struct socket_watch **place = &resolver->sockets;
	while (*place && (*place)->fd != fd)
		place = &(*place)->next;
	if (!events) {
		struct socket_watch *gone = *place;
		if (gone) {
			gr_loop_remove(gone->watch);
			*place = gone->next;
			free(gone);
		}
	} else if (*place) {
		gr_loop_change((*place)->watch, events);
	} else {
		struct socket_watch *added = calloc(1, sizeof(*added));
		if (!added)
			return; /* the query ends by its time-out */
		added->fd = fd;
		added->watch = gr_loop_add(resolver->loop, fd, events, socket_ready, resolver);
		if (!added->watch) {
			free(added);
			return;
		}
		added->next = resolver->sockets;
		resolver->sockets = added;
	}
}

/* ---- /etc/hosts ---- */

static int add_host(struct gr_resolver *resolver, const char *name, const struct gr_address *address)
{
	if (resolver->host_count == HOSTS_MAX)
		return GR_EFULL;
	struct host *grown = realloc(resolver->hosts, (resolver->host_count + 1) * sizeof(*grown));
	if (!grown)
		return GR_ENOMEM;
	resolver->hosts = grown;
	grown[resolver->host_count].name = strdup(name);
	grown[resolver->host_count].address = *address;
	if (!grown[resolver->host_count].name)
		return GR_ENOMEM;
	resolver->host_count++;
	return 0;
}

static int read_hosts(struct gr_resolver *resolver)
{
	char line[1024];
	int status = 0;
	FILE *file = fopen("/etc/hosts", "re");
	while (file && status == 0 && fgets(line, sizeof(line), file)) {
		struct gr_address address;
		char *rest = NULL;
		line[strcspn(line, "#\n")] = 0;
		char *word = strtok_r(line, " \t", &rest);
		if (!word || gr_address_parse(word, &address) != 0)
			continue;
		while (status == 0 && (word = strtok_r(NULL, " \t", &rest)) != NULL)
			status = add_host(resolver, word, &address);
	}
	if (file)
		fclose(file);
	return status == GR_EFULL ? 0 : status;
}

static unsigned from_hosts(const struct gr_resolver *resolver, const char *name, struct gr_address *out)
{
	unsigned count = 0;
	size_t n = strlen(name);
	for (unsigned i = 0; i < resolver->host_count && count < GR_RESOLVE_MAX; i++)
		if (strcasecmp(resolver->hosts[i].name, name) == 0)
			out[count++] = resolver->hosts[i].address;
	if (count == 0 && (strcmp(name, "localhost") == 0 || (n > 10 && strcmp(name + n - 10, ".localhost") == 0))) {
		gr_address_parse("127.0.0.1", &out[count++]);
		gr_address_parse("::1", &out[count++]);
	}
	return count;
}

/* ---- */

int gr_resolver_create(struct gr_resolver **out, struct gr_loop *loop, struct gr_error *err)
{
	struct gr_resolver *resolver = calloc(1, sizeof(*resolver));
	if (!resolver)
		return gr_error_set(err, GR_ENOMEM, "no memory");
	/*
	 * No search domains (the flag alone does not keep ares_getaddrinfo 1.18 from them): what the browser wrote is the whole
	 * name. No hosts file: c-ares would read it again for each
	 * query, from the empty root. Never asks for the address order of the machine: it is sorted here.
	 */
	struct ares_options options = {
		.flags = ARES_FLAG_NOSEARCH,
		.timeout = QUERY_MS,
		.tries = TRIES,
		.ndomains = 0,
		.lookups = (char *)(uintptr_t) "b",
		.sock_state_cb = socket_changed,
		.sock_state_cb_data = resolver,
	};
	resolver->loop = loop;
	resolver->timer = gr_loop_timer_add(loop, timer_expired, resolver);
	int status = ares_library_init(ARES_LIB_INIT_ALL);
	if (status == ARES_SUCCESS) {
		resolver->library = 1;
		status = ares_init_options(&resolver->channel, &options,
					   ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
						   ARES_OPT_SOCK_STATE_CB | ARES_OPT_DOMAINS);
	}
	if (status != ARES_SUCCESS || !resolver->timer || read_hosts(resolver) != 0) {
		gr_error_set(err, GR_EIO, "cannot set up name resolution: %s", ares_strerror(status));
		gr_resolver_destroy(resolver);
		return GR_EIO;
	}
	*out = resolver;
	return 0;
}

void gr_resolver_destroy(struct gr_resolver *resolver)
{
	if (!resolver)
		return;
	if (resolver->channel)
		ares_destroy(resolver->channel); /* ends queries with ARES_EDESTRUCTION and closes the sockets */
	while (resolver->sockets) {
		struct socket_watch *next = resolver->sockets->next;
		gr_loop_remove(resolver->sockets->watch);
		free(resolver->sockets);
		resolver->sockets = next;
	}
	if (resolver->library)
		ares_library_cleanup();
	gr_loop_timer_remove(resolver->timer);
	for (unsigned i = 0; i < resolver->host_count; i++)
		free(resolver->hosts[i].name);
	free(resolver->hosts);
	free(resolver);
}

static void answered(void *context, int result, int timeouts, struct ares_addrinfo *info)
{
	struct gr_resolve_query *query = context;
	struct gr_address addresses[GR_RESOLVE_MAX];
	unsigned count = 0;
	(void)timeouts;
	static const int families[] = { AF_INET, AF_INET6 };
	for (unsigned f = 0; f < 2 && result == ARES_SUCCESS; f++)
		for (struct ares_addrinfo_node *node = info->nodes;
		     node && count < (f ? GR_RESOLVE_MAX : GR_RESOLVE_MAX - 2); node = node->ai_next) {
			if (node->ai_family != families[f])
				continue;
			addresses[count].family = families[f];
			if (families[f] == AF_INET)
				addresses[count].v4 =
					((const struct sockaddr_in *)(const void *)node->ai_addr)->sin_addr;
			else
				addresses[count].v6 =
					((const struct sockaddr_in6 *)(const void *)node->ai_addr)->sin6_addr;
			count++;
		}
	ares_freeaddrinfo(info);
	int status = count > 0 ? 0
		     : result == ARES_SUCCESS || result == ARES_ENOTFOUND || result == ARES_ENODATA ||
				     result == ARES_EBADNAME
			     ? GR_ENOENT
		     : result == ARES_ETIMEOUT ? GR_ETIMEOUT
					       : GR_EIO;
	if (query->place)
		*query->place = NULL;
	if (query->resolved && result != ARES_EDESTRUCTION)
		query->resolved(query->context, status, addresses, count);
	free(query);
}

int gr_resolver_ask(struct gr_resolver *resolver, const char *name, gr_resolved resolved, void *context,
		    struct gr_resolve_query **out)
{
	static const struct ares_addrinfo_hints hints = { .ai_flags = ARES_AI_NOSORT,
							  .ai_family = AF_UNSPEC,
							  .ai_socktype = SOCK_STREAM };
	struct gr_address local[GR_RESOLVE_MAX];
	unsigned count = from_hosts(resolver, name, local);
	*out = NULL;
	if (count) {
		resolved(context, 0, local, count);
		return 0;
	}
	struct gr_resolve_query *query = calloc(1, sizeof(*query));
	if (!query)
		return GR_ENOMEM;
	struct gr_resolve_query *pending = query;
	query->resolved = resolved;
	query->context = context;
	query->place = &pending;
	ares_getaddrinfo(resolver->channel, name, NULL, &hints, answered, query);
	if (pending) {
		pending->place = NULL;
		*out = pending;
	}
	arm(resolver);
	return 0;
}

void gr_resolve_cancel(struct gr_resolve_query *query)
{
	if (query)
		query->resolved = NULL;
}
