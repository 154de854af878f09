/* One question to PAM, in a process of its own: whatever the modules do, they do it there. */
#ifndef GARASU_BROKER_PAM_AUTHENTICATE_H
#define GARASU_BROKER_PAM_AUTHENTICATE_H

#include "broker/pam/pam.h"

/*
 * pam_authenticate and pam_acct_mgmt of the service for the request's person. Questions without echo get the request's answers in
 * their order; any other question, or one too many, gets none, which the modules take for a failure. What the modules
 * have to say goes to the log. May take as long as they like.
 */
void gr_pam_authenticate(const char *service, const struct gr_pam_request *request, struct gr_pam_answer *out);

#endif
