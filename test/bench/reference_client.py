"""What people use today: a script that submits an export, sleeps between its polls, and fetches the result.

reference_client.py BASE_URL KEY COUNT PAUSE BASE_DELAY MULTIPLIER MAX_DELAY: makes COUNT exports with a key, one after the
other with a pause between two, all times in seconds, and prints the milliseconds of CPU and the polls of each but the
first, which warms up.
"""

import json
import resource
import sys
import time

import requests


class Clari:
    def __init__(self, base_url, key, base_delay, multiplier, max_delay):
        self.base_url = base_url
        self.delays = (base_delay, multiplier, max_delay)
        self.polls = 0
        self.session = requests.Session()
        self.session.headers["apikey"] = key

    def ask(self, method, path, **arguments):
        response = self.session.request(method, self.base_url + path, timeout=60, **arguments)
        response.raise_for_status()
        return response.json()

    def poll(self, job_id):
        base_delay, multiplier, max_delay = self.delays
        delay = base_delay
        time.sleep(delay)
        while True:
            self.polls += 1
            job = self.ask("GET", f"/export/jobs/{job_id}")
            if job["status"] == "DONE":
                return
            time.sleep(min(delay, max_delay))
            delay *= multiplier

    def export(self):
        job_id = self.ask("POST", "/export/forecast/net_arr", json={"timePeriod": "2026_Q3"})["jobId"]
        self.poll(job_id)
        return self.ask("GET", f"/export/jobs/{job_id}/results")


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main(base_url, key, count, pause, *delays):
    count = int(count)
    clari = Clari(base_url, key, *map(float, delays))
    with open("/dev/null", "w") as file:
        for n in range(count):
            if n == 1:
                before = cpu_seconds()
                clari.polls = 0
            if n > 0:
                time.sleep(float(pause))
            file.write(json.dumps(clari.export()))
    print(round((cpu_seconds() - before) * 1000 / (count - 1), 2), round(clari.polls / (count - 1), 1))


main(*sys.argv[1:])
