"""What the simulated Clari remembers: jobs, and what each organization has running and used of its quota."""

import heapq
import itertools
import time
from collections import Counter, OrderedDict, deque

from .calendar_clock import SECONDS_A_DAY
from .config import ConfigError, merge_plan
from .jobs import Job

MAX_JOBS = 100_000
MAX_PLANS = 100_000
QUOTA_WINDOW_SECONDS = 30 * SECONDS_A_DAY
JOB_ID_SERIAL = itertools.count(0x9DF71E00)


class OrganizationState:
    """The unfinished jobs of an organization, and those that count against its quota."""

    def __init__(self):
        self._running = OrderedDict()
        self._ends = []              # a heap of (moment, job id); entries of jobs that ended early are stale
        self._charged = OrderedDict()
        self._running_by_key = Counter()
        self.most_running = 0
        self.most_running_by_key = Counter()

    def add(self, job):
        self._running[job.job_id] = job
        self._charged[job.job_id] = job
        self._running_by_key[job.key] += 1
        self.most_running = max(self.most_running, len(self._running))
        self.most_running_by_key[job.key] = max(self.most_running_by_key[job.key], self._running_by_key[job.key])
        if job.ended_at is not None:
            heapq.heappush(self._ends, (job.ended_at, job.job_id))

    def settle(self, now):
        """Let go of the jobs that have ended and the charges that have left the quota's window."""
        while self._ends and self._ends[0][0] <= now:
            self.stop_running(heapq.heappop(self._ends)[1])
        while self._charged and self._oldest_charge().accepted_at <= now - QUOTA_WINDOW_SECONDS:
            self._charged.popitem(last=False)

    def _oldest_charge(self):
        return next(iter(self._charged.values()))

    def stop_running(self, job_id):
        job = self._running.pop(job_id, None)
        if job is not None:
            self._running_by_key[job.key] -= 1

    def refund(self, job_id):
        self._charged.pop(job_id, None)

    def running_ids(self):
        return list(self._running)

    def charged_ids(self):
        return list(self._charged)

    def running_count(self):
        return len(self._running)

    def charged_count(self):
        return len(self._charged)


class ClariState:
    def __init__(self, clock):
        self._clock = clock
        self._jobs = OrderedDict()
        self._organizations = {}
        self._plans = deque()
        self._export_counts = Counter()

    def organization(self, name):
        """An organization's state as of now."""
        state = self._organizations.get(name)
        if state is None:
            state = self._organizations[name] = OrganizationState()
        state.settle(self._clock.now())
        return state

    def organizations(self):
        return self._organizations.items()

    def add_plans(self, plans, default_plan):
        if len(self._plans) + len(plans) > MAX_PLANS:
            raise ConfigError(f"more than {MAX_PLANS} job plans")
        self._plans.extend([merge_plan(default_plan, plan) for plan in plans])

    def next_plan(self, default_plan):
        return self._plans.popleft() if self._plans else default_plan

    def accept(self, key, owner, org_id, module, plan, **subject):
        """Start a job; `subject` is what Job takes: forecast_id, period, parameters."""
        exported = (owner["organization"], module, subject.get("forecast_id"), subject.get("period"))
        job = Job(new_job_id(), key, owner["user"], owner["organization"], org_id, module, plan,
                  self._clock.now(), export_number=self._export_counts[exported], **subject)
        self._export_counts[exported] += 1
        self._jobs[job.job_id] = job
        if len(self._jobs) > MAX_JOBS:
            self._jobs.popitem(last=False)
        self.organization(job.organization).add(job)
        return job

    def job(self, job_id):
        return self._jobs.get(job_id)

    def jobs_of(self, user, organization, visible_before):
        """The user's jobs accepted before that moment, newest first."""
        return [job for job in reversed(self._jobs.values())
                if job.user == user and job.organization == organization
                and job.accepted_at <= visible_before]

    def end_job(self, job, status):
        job.end(status, self._clock.now())
        self.organization(job.organization).stop_running(job.job_id)

    def cancel_job(self, job):
        """Cancel an unfinished job and free its place in the quota; its status after that."""
        status = "CANCELLED" if job.status(self._clock.now()) == "SCHEDULED" else "ABORTED"
        self.end_job(job, status)
        self.organization(job.organization).refund(job.job_id)
        return status


def new_job_id():
    """Like the ids of Clari: 24 hexadecimal digits, the first eight the time; never given twice."""
    return f"{int(time.time()):08x}81a6da22{next(JOB_ID_SERIAL) & 0xFFFFFFFF:08x}"
