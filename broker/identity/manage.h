/* What administrators do with users.db (GR_IPC_USER): answered by ROWs and one DONE. */
#ifndef GARASU_BROKER_IDENTITY_MANAGE_H
#define GARASU_BROKER_IDENTITY_MANAGE_H

#include "broker/config/config.h"
#include "broker/identity/users.h"
#include "broker/ipc/ipc.h"

#define GR_MANAGE_ROWS_MAX 64 /* of one list: the next one goes on behind its last person */

/*
 * subject:
 *   add        ROW = the password, made here, shown once; no ROW where passwords are not local
 *   password   a new one; the same
 *   code       a new secret for one-time codes; ROW = its otpauth URI
 *   recovery   ten new recovery codes, one a ROW; earlier ones are void
 *   unlock     forgets the wrong tries
 *   remove     the person and all that belongs to it
 *   list       ROWs "person=… code=yes recovery=10 failures=0 locked=0" (locked: seconds) of those behind person
 *
 * users NULL: no factor is asked for. Returns what gr_identity_tell says; the messages are wiped.
 */
int gr_manage(struct gr_users *users, const struct gr_config *config, const struct gr_ipc_message *request);

#endif
