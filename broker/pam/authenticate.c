#include "broker/pam/authenticate.h"

#include "common/log.h"

#include <security/pam_appl.h>
#include <stdlib.h>
#include <string.h>

struct conversation {
	const struct gr_pam_request *request;
	uint32_t given; /* answers */
};

static void log_words(const char *words)
{
	char text[256];

	gr_log_info("PAM: %s", gr_log_escape(text, sizeof(text), words, strlen(words)));
}

static int answer(struct conversation *conversation, const struct pam_message *question, struct pam_response *out)
{
	const struct gr_pam_request *request = conversation->request;

	switch (question->msg_style) {
	case PAM_ERROR_MSG:
	case PAM_TEXT_INFO: log_words(question->msg); return PAM_SUCCESS;
	case PAM_PROMPT_ECHO_OFF:
		if (conversation->given >= request->count)
			return PAM_CONV_ERR;
		/* Owned by PAM from here on, which wipes and frees it. */
		out->resp = strndup(request->answer[conversation->given], request->length[conversation->given]);
		conversation->given++;
		return out->resp ? PAM_SUCCESS : PAM_BUF_ERR;
	default: return PAM_CONV_ERR;
	}
}

static int converse(int count, const struct pam_message **questions, struct pam_response **out, void *context)
{
	struct pam_response *responses;
	int rc = PAM_SUCCESS;

	if (count < 1 || count > PAM_MAX_NUM_MSG)
		return PAM_CONV_ERR;
	responses = calloc((size_t)count, sizeof(*responses));
	if (!responses)
		return PAM_BUF_ERR;
	for (int i = 0; rc == PAM_SUCCESS && i < count; i++)
		rc = answer(context, questions[i], &responses[i]);
	if (rc == PAM_SUCCESS) {
		*out = responses;
		return rc;
	}
	for (int i = 0; i < count; i++) {
		if (responses[i].resp)
			explicit_bzero(responses[i].resp, strlen(responses[i].resp));
		free(responses[i].resp);
	}
	free(responses);
	return rc;
}

/* The broker has its own pauses after wrong tries, which are the same for everybody. */
static void no_delay(int status, unsigned microseconds, void *context)
{
	(void)status;
	(void)microseconds;
	(void)context;
}

/*
 * What a module says when it could not ask, and nothing else: such a try does not count against the person, so whatever a
 * module may say of a wrong password must not be among them. (pam_exec calls it a system error.)
 */
static uint32_t verdict_of(int status)
{
	switch (status) {
	case PAM_SUCCESS: return GR_PAM_GOOD;
	case PAM_AUTHINFO_UNAVAIL:
	case PAM_OPEN_ERR:
	case PAM_SYMBOL_ERR:
	case PAM_BUF_ERR:
	case PAM_ABORT: return GR_PAM_UNAVAILABLE;
	default: return GR_PAM_WRONG;
	}
}

/* Whether the modules speak of the same person at the end. */
static int is_still(pam_handle_t *pam, const char *person)
{
	const void *user = NULL;

	return pam_get_item(pam, PAM_USER, &user) == PAM_SUCCESS && user && strcmp(user, person) == 0;
}

void gr_pam_authenticate(const char *service, const struct gr_pam_request *request, struct gr_pam_answer *out)
{
	struct conversation conversation = { .request = request };
	struct pam_conv conv = { converse, &conversation };
	union { /* an item that is a function: ISO C has no cast for it */
		void (*function)(int, unsigned, void *);
		const void *item;
	} delay = { no_delay };
	pam_handle_t *pam = NULL;
	const char *words;
	int status = pam_start(service, request->person, &conv, &pam);

	if (status == PAM_SUCCESS)
		status = pam_set_item(pam, PAM_FAIL_DELAY, delay.item);
	if (status == PAM_SUCCESS)
		status = pam_authenticate(pam, PAM_DISALLOW_NULL_AUTHTOK);
	if (status == PAM_SUCCESS)
		status = pam_acct_mgmt(pam, PAM_DISALLOW_NULL_AUTHTOK);
	if (status == PAM_SUCCESS && !is_still(pam, request->person))
		status = PAM_PERM_DENIED;
	words = pam_strerror(pam, status);
	*out = (struct gr_pam_answer){ .number = request->number, .verdict = verdict_of(status) };
	gr_log_escape(out->why, sizeof(out->why), words ? words : "?", words ? strlen(words) : 1);
	pam_end(pam, status);
}
