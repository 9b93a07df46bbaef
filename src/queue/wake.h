/*
 * wake.h
 *		Who works on which database's queue, and waking them.
 *
 * A worker sleeps until something changed that may concern it: the commit of
 * an insert into clari_export_request, of a changed server, mapping or role, of
 * the extension itself. Nothing polls. Without preloading there are no workers and
 * all of this does nothing.
 */
#ifndef CLARI_WAKE_H
#define CLARI_WAKE_H

extern void wake_request_shared_memory(void);
extern void wake_attach_shared_memory(void);

/* Watch the commands that concern workers; once, while preloading. */
extern void wake_install_hooks(void);

/*
 * This process works on its database's queue from now until it ends. Returns
 * false if another one does, or too many databases have one.
 */
extern bool wake_register_worker(void);

/* This process starts and stops the workers. */
extern void wake_register_launcher(void);

/*
 * The worker with this number of the launcher's ends since it was told to;
 * whether that is why it ended, asked once.
 */
extern void wake_note_end_when_told(int number);
extern bool wake_ended_when_told(int number);

/* Whose requests are new. */
typedef struct WakeOwner
{
	NameData	server;
	Oid			role;
} WakeOwner;

/* More than so many of a kind are not told one by one. */
#define WAKE_MAX_NOTES	32

/* What a worker is woken for. All zeros is nothing. */
typedef struct WakeNotes
{
	bool		everything;		/* whatever it may be */
	int			n_owners;
	int			n_requests;
	WakeOwner	owners[WAKE_MAX_NOTES];
	int64		requests[WAKE_MAX_NOTES];
} WakeNotes;

/* What there was since the last call; false for nothing. */
extern bool wake_take_notes(WakeNotes *notes);

/*
 * Wake the database's worker when this transaction commits, if it does: to look
 * at everything, at one owner's requests, or at one request.
 */
extern void wake_at_commit(void);
extern void wake_for_owner_at_commit(const char *server, Oid role);
extern void wake_for_request_at_commit(int64 request_id);

/* Requests were inserted: their owners were told, or it may be anybody's. */
extern void wake_for_insert_at_commit(void);

/* Whether a worker is there for this database. */
extern bool wake_has_worker(void);

/* Wake everyone who waits for the end of a request, and let them wait. */
extern void wake_waiters(void);
extern void wake_prepare_to_wait(void);
extern void wake_cancel_wait(void);

#endif							/* CLARI_WAKE_H */
