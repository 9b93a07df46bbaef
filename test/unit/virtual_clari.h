/*
 * virtual_clari.h
 *		A scripted Clari and a virtual clock that drive one export.
 *
 * What src/engine.c does with PostgreSQL, libcurl and a real clock is done
 * here with none of them: ask the lane before a request goes out, take the
 * reply, tell the lane what it has to learn, move on. Every request is noted
 * with its times, so a test asserts afterwards what was sent and when.
 *
 * Clari is healthy unless a test says otherwise: it accepts submissions, lists
 * jobs, ends them after a while. An Answer replaces what it would say.
 */
#ifndef VIRTUAL_CLARI_H
#define VIRTUAL_CLARI_H

#include <stdbool.h>
#include <stddef.h>

#include "core/export.h"
#include "core/lane_rules.h"
#include "core/retry_after.h"

#define REQUEST_KINDS		(REQUEST_LIMITS + 1)
#define MAX_SCRIPTED		80
#define MAX_VIRTUAL_JOBS	32
#define MAX_OTHER_EXPORTS	4

/* A virtual clock starts here: late enough to talk about an earlier moment. */
#define VIRTUAL_START		SECONDS(1000000)

/* Clari's refusal for a full job queue and for a used-up quota. */
#define BODY_QUOTA_REACHED "{\"code\":\"export_monthly_quota_reached\",\"namespace\":\"export\"," \
	"\"errorId\":\"1\",\"message\":\"Export quota reached\",\"orgId\":915}"

/* What a request brings instead of a healthy reply. */
typedef struct Answer
{
	Delivery	delivery;
	int			http_status;	/* 0 with DELIVERY_REPLIED: healthy */
	const char *body;			/* NULL: none */
	Duration	retry_after;
	Duration	latency;		/* from the request to its end */
	bool		accepted;		/* a submission starts a job all the same */
	ResultReading reading;		/* of a result that arrives */
} Answer;

extern Answer answer_healthy(void);
extern Answer answer_http(int http_status, const char *body);
extern Answer answer_rate_limited(Duration retry_after);
extern Answer answer_failed(Delivery delivery);

/* A submission that failed for the client and yet started a job. */
extern Answer answer_accepted(Answer answer);

typedef struct SentRequest
{
	RequestKind kind;
	Instant		not_before;		/* the machine's word */
	Instant		key_held_until; /* Clari's word, in 429s so far */
	Instant		sent_at;
	Instant		replied_at;
	Answer		answer;
	int			http_status;	/* as the client saw it */
	bool		started_job;
	bool		readable_list;	/* a whole list of the jobs was delivered */
	bool		lists_our_job;
} SentRequest;

typedef struct VirtualJob
{
	char		job_id[JOB_ID_SIZE];
	char		module[JOB_TEXT_SIZE];
	char		file_name[JOB_TEXT_SIZE];
	char		currency[8];
	bool		ours;			/* started by the export under test */
	Instant		started_at;
	Instant		listed_from;
	Instant		ends_at;
} VirtualJob;

/* Another export of the same key: its place in the lane. */
typedef struct OtherExport
{
	Instant		settles_at;		/* its submission's fate is known */
	Instant		leaves_at;
	bool		settled;
	bool		left;
} OtherExport;

typedef struct VirtualClari VirtualClari;

struct VirtualClari
{
	Instant		now;

	/* The client: set the rules before virtual_clari_prepare(). */
	ExportRules rules;
	ExportKind	kind;
	const char *forecast_id;
	const char *time_period;
	const char *currency;
	Export		export;
	ExportAction action;
	uint32_t	random;			/* of the next jitter */
	bool		contested;		/* what the owner says before a look-up */
	const char *others_job;		/* the same: excluded unless NULL */

	/* Its lane, and who else is in it. */
	LaneLimits	limits;
	LaneState	lane;
	bool		has_place;
	bool		submitting;
	OtherExport others[MAX_OTHER_EXPORTS];
	int			n_others;

	/* Clari. */
	Duration	job_duration;
	Duration	listing_delay;	/* from a job's start until the list has it */
	const char *final_status;
	bool		wraps_jobs;
	bool		sends_date;
	bool		tells_start_times;
	int			newest_listed;	/* the list has so many jobs; 0: all */
	int64_t		clock_offset;	/* Clari's milliseconds since 1970, less ours */
	int			available_concurrent_limit;
	int			available_monthly_quota;
	VirtualJob	jobs[MAX_VIRTUAL_JOBS];
	int			n_jobs;
	Instant		key_held_until;

	/* The script: answers in turn, then the lasting one, else healthy. */
	Answer		script[REQUEST_KINDS][MAX_SCRIPTED];
	int			scripted[REQUEST_KINDS];
	int			played[REQUEST_KINDS];
	bool		lasts[REQUEST_KINDS];
	Answer		lasting[REQUEST_KINDS];

	/* Each may be NULL. Called before every attempt to send. */
	void		(*meanwhile) (VirtualClari *clari);

	/* Chooses answers instead of the script. */
	Answer		(*choose_answer) (VirtualClari *clari, RequestKind kind);
	void	   *context;		/* for these two */

	/* What happened. */
	SentRequest *sent;
	int			n_sent;
	int			allocated;
	int			max_sent;
	bool		overran;		/* stopped after max_sent requests */
	bool		stuck;			/* the lane never let the next request go */
};

/* A healthy Clari, default rules and limits. */
extern void virtual_clari_init(VirtualClari *clari);
extern void virtual_clari_free(VirtualClari *clari);

/* The next answer to a request of this kind; the answer to all later ones. */
extern void virtual_clari_next(VirtualClari *clari, RequestKind kind, Answer answer);
extern void virtual_clari_always(VirtualClari *clari, RequestKind kind, Answer answer);

/* A job started some time ago; returns its id. */
extern const char *virtual_clari_add_job(VirtualClari *clari, const char *module,
										 const char *file_name);

/* A moment by Clari's clock, in milliseconds since 1970. */
extern int64_t virtual_clari_time(const VirtualClari *clari, Instant at);

/* Another export takes a place in the lane. */
extern void virtual_clari_add_other(VirtualClari *clari, Instant settles_at, Instant leaves_at);

/* Another request of the key was answered with 429. */
extern void virtual_clari_limit_rate(VirtualClari *clari, Duration retry_after);

/* Prepare the machine; run it to its end. job_id may be NULL. */
extern void virtual_clari_prepare(VirtualClari *clari, ExportGoal goal, const char *job_id);
extern ExportOutcome virtual_clari_run(VirtualClari *clari);

/* How many requests of a kind went out; when the n-th (from 0) did. */
extern int	virtual_clari_count(const VirtualClari *clari, RequestKind kind);
extern Instant virtual_clari_sent_at(const VirtualClari *clari, RequestKind kind, int n);

#endif							/* VIRTUAL_CLARI_H */
