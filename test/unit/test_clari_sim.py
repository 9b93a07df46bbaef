#!/usr/bin/env python3
"""Proves that the simulated Clari does what test/clari_sim says: each endpoint, setting, plan and rule.

Every test talks to a real server through real sockets. Run: python3 test/unit/test_clari_sim.py
"""

import contextlib
import gzip
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
from email.utils import parsedate_to_datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from clari_sim_lib.token_bucket import TokenBuckets

SERVER = Path(__file__).resolve().parent.parent / "clari_sim"
PATIENCE_SECONDS = 20
SILENCE_SECONDS = 0.15
KEY = "demo-key"
DAY = 86400


class Server:
    """A running simulator."""

    def __init__(self, *arguments, stdin=subprocess.PIPE):
        self.directory = tempfile.mkdtemp(prefix="clari_sim_test_")
        self.port_file = os.path.join(self.directory, "port")
        self.process = subprocess.Popen(
            [sys.executable, str(SERVER), "--port-file", self.port_file, *arguments],
            stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.greeting = self.process.stdout.readline()
        if self.greeting.startswith("listening on "):
            self.port = int(self.greeting.rpartition(":")[2])

    def stop(self):
        self.process.kill()
        self.process.wait()
        for pipe in filter(None, (self.process.stdin, self.process.stdout)):
            pipe.close()
        shutil.rmtree(self.directory)

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        encoded = self.headers.get("Content-Encoding") == "gzip"
        return json.loads(gzip.decompress(self.body) if encoded else self.body)

    def code(self):
        return self.json()["code"]


class SimulatorTest(unittest.TestCase):
    """One server for the tests of a class, reset before each."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server("--exit-with-parent")
        cls.addClassCleanup(cls.server.stop)

    def setUp(self):
        self.connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE_SECONDS)
        self.addCleanup(self.connection.close)
        self.control("POST", "reset", {})

    def send(self, method, path, body=None, key=KEY, headers=None):
        content = json.dumps(body) if isinstance(body, (dict, list)) else body
        given = {"apikey": key} if key else {}
        self.connection.request(method, path, content, {**given, **(headers or {})})
        return Answer(self.connection.getresponse())

    def clari(self, method, path, body=None, **options):
        return self.send(method, "/v4" + path, body, **options)

    def control(self, method, what, body=None, status=200):
        answer = self.send(method, "/_sim/" + what, body, key=None)
        self.assertEqual(answer.status, status, answer.body)
        return answer.json()

    def configure(self, **settings):
        self.control("POST", "configure", settings)

    def rule(self, do, **parts):
        self.control("POST", "rules", [{"do": do, **parts}])

    def plan(self, *plans):
        self.control("POST", "jobs", list(plans))

    def submit(self, forecast="net_arr", body=None, **options):
        answer = self.clari("POST", f"/export/forecast/{forecast}", body or {}, **options)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()["jobId"]

    def job(self, job_id, **options):
        return self.clari("GET", f"/export/jobs/{job_id}", **options).json()

    def result(self, job_id, **options):
        return self.clari("GET", f"/export/jobs/{job_id}/results", **options)

    def export(self, **body):
        return self.result(self.submit(body=body)).json()

    def limits(self, **options):
        return self.clari("GET", "/admin/limits", **options).json()["jobs"]

    def log(self, query=""):
        return self.control("GET", "log" + query)

    @contextlib.contextmanager
    def raw(self, request=None, timeout=PATIENCE_SECONDS):
        """A socket on which the request was sent: by default the limits of the demo key."""
        request = request or b"GET /v4/admin/limits HTTP/1.1\r\nHost: x\r\napikey: demo-key\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.server.port), timeout) as connection:
            connection.sendall(request)
            yield connection

    def raw_reply(self, request=None):
        """Everything that the server sends until it closes the connection."""
        with self.raw(request) as connection:
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def assert_refused(self, answer, status, code):
        self.assertEqual((answer.status, answer.json().get("code")), (status, code))

    def eventually(self, condition):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            self.assertLess(time.monotonic(), deadline, "it never came to pass")


class ProcessTest(unittest.TestCase):
    def start(self, *arguments, **options):
        server = Server(*arguments, **options)
        self.addCleanup(server.stop)
        return server

    def get(self, port, path, key=None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        self.addCleanup(connection.close)
        connection.request("GET", path, headers={"apikey": key} if key else {})
        return Answer(connection.getresponse())

    def settings_file(self, text):
        file = tempfile.NamedTemporaryFile("w", suffix=".json")
        self.addCleanup(file.close)
        file.write(text)
        file.flush()
        return file.name

    def certificate(self):
        directory = tempfile.mkdtemp(prefix="clari_sim_test_")
        self.addCleanup(shutil.rmtree, directory)
        certificate, key = f"{directory}/cert.pem", f"{directory}/key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
                       check=True, capture_output=True)
        return certificate, key

    def test_greeting_and_port_file_name_the_port(self):
        server = self.start()
        self.assertEqual(server.greeting, f"listening on 127.0.0.1:{server.port}\n")
        self.assertEqual(Path(server.port_file).read_text(), f"{server.port}\n")
        self.assertEqual(os.listdir(server.directory), ["port"])

    def test_listens_on_the_port_it_was_told(self):
        port = self.start().port
        server = self.start()
        self.assertNotEqual(server.port, port)
        server.process.terminate()
        server.process.wait(PATIENCE_SECONDS)
        self.assertEqual(self.start("--port", str(server.port)).port, server.port)

    def test_listens_on_loopback_only(self):
        server = self.start()
        with self.assertRaises(OSError):
            socket.create_connection(("127.0.0.2", server.port), 1)

    def test_signals_end_it(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            server = self.start()
            server.process.send_signal(number)
            self.assertEqual(server.process.wait(PATIENCE_SECONDS), 0)

    def test_ends_with_its_parent(self):
        server = self.start("--exit-with-parent")
        server.process.stdin.close()
        self.assertEqual(server.process.wait(PATIENCE_SECONDS), 0)

    def test_outlives_its_input_otherwise(self):
        server = self.start(stdin=subprocess.DEVNULL)
        self.assertEqual(self.get(server.port, "/v4/admin/limits", KEY).status, 200)
        self.assertIsNone(server.process.poll())

    def test_config_replaces_the_defaults_and_survives_a_reset(self):
        server = self.start("--config", self.settings_file(
            '{"keys": {"other": {"organization": "acme", "user": "u"}}}'))
        self.assertEqual(self.get(server.port, "/v4/admin/limits", "other").status, 200)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)
        self.addCleanup(connection.close)
        connection.request("POST", "/_sim/reset")
        self.assertEqual(Answer(connection.getresponse()).status, 200)
        self.assertEqual(self.get(server.port, "/v4/admin/limits", "other").status, 200)

    def test_config_that_makes_no_sense_is_refused(self):
        for text in ('{"no_such_setting": 1}', "not JSON", "[]"):
            server = self.start("--config", self.settings_file(text))
            self.assertEqual(server.process.wait(PATIENCE_SECONDS), 1)
            self.assertIn("clari_sim: ", server.greeting)

    def test_log_file_has_a_line_a_request(self):
        with tempfile.NamedTemporaryFile("r") as log:
            server = self.start("--log", log.name)
            self.get(server.port, "/v4/admin/limits", KEY)
            self.get(server.port, "/v4/nowhere", KEY)
            self.get(server.port, "/_sim/stats")
            entries = [json.loads(line) for line in log]
        self.assertEqual([(entry["path"], entry["status"]) for entry in entries],
                         [("/admin/limits", 200), ("/nowhere", 404)])

    def test_tls_with_a_plain_control_port(self):
        certificate, key = self.certificate()
        with tempfile.TemporaryDirectory() as directory:
            control_port_file = f"{directory}/control"
            server = self.start("--tls-cert", certificate, "--tls-key", key, "--control-port-file", control_port_file)
            control_port = int(Path(control_port_file).read_text())
        context = ssl.create_default_context(cafile=certificate)
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS, context=context)
        self.addCleanup(connection.close)
        connection.request("GET", "/v4/admin/limits", headers={"apikey": KEY})
        self.assertEqual(Answer(connection.getresponse()).status, 200)
        self.assertEqual(len(self.get(control_port, "/_sim/log").json()), 1)
        stranger = ssl.create_default_context()
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE_SECONDS) as plain:
            with self.assertRaises(ssl.SSLCertVerificationError):
                stranger.wrap_socket(plain, server_hostname="127.0.0.1")

    def test_reset_and_close_within_tls(self):
        certificate, key = self.certificate()
        server = self.start("--tls-cert", certificate, "--tls-key", key)
        context = ssl.create_default_context(cafile=certificate)
        for do, expected in (({"reset": True}, ConnectionResetError),
                             ({"close": True}, http.client.RemoteDisconnected)):
            connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS,
                                                     context=context)
            self.addCleanup(connection.close)
            connection.request("POST", "/_sim/rules", json.dumps([{"do": do}]))
            Answer(connection.getresponse())
            connection.request("GET", "/v4/admin/limits", headers={"apikey": KEY})
            with self.assertRaises(expected):
                connection.getresponse()

    def test_certificate_and_key_belong_together(self):
        self.assertEqual(self.start("--tls-cert", "x").process.wait(PATIENCE_SECONDS), 2)


class HttpTest(SimulatorTest):
    REQUEST = b"GET /v4/admin/limits HTTP/1.1\r\nHost: x\r\napikey: demo-key\r\n\r\n"

    def status_of(self, request):
        return int(self.raw_reply(request).split()[1])

    def test_connections_are_kept_alive(self):
        self.limits()
        self.limits()
        self.assertEqual(len({entry["connection"] for entry in self.log()}), 1)

    def test_connection_close_is_respected(self):
        reply = self.raw_reply(self.REQUEST.replace(b"Host", b"Connection: close\r\nHost"))
        self.assertIn(b'"concurrentLimit":3', reply)

    def test_pipelined_requests_are_answered_in_order(self):
        self.rule({"delay_ms": 20, "status": 418})
        reply = self.raw_reply(self.REQUEST * 2 + self.REQUEST.replace(b"Host", b"Connection: close\r\nHost"))
        self.assertEqual(re.findall(rb"HTTP/1\.1 (\d+)", reply), [b"418", b"200", b"200"])

    def test_nothing_is_answered_after_a_close(self):
        request = self.REQUEST.replace(b"Host", b"Connection: close\r\nHost") + self.REQUEST
        self.assertEqual(self.raw_reply(request).count(b"HTTP/1.1"), 1)

    def test_request_in_single_bytes(self):
        with self.raw(self.REQUEST[:1]) as connection:
            for byte in self.REQUEST[1:]:
                connection.sendall(bytes([byte]))
            self.assertTrue(connection.recv(100).startswith(b"HTTP/1.1 200 OK\r\n"))

    def test_body_is_asked_for_with_100_continue(self):
        head = (b"POST /v4/export/forecast/net_arr HTTP/1.1\r\napikey: demo-key\r\nExpect: 100-continue\r\n"
                b"Content-Length: 2\r\n\r\n")
        with self.raw(head) as connection:
            self.assertEqual(connection.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.sendall(b"{}")
            self.assertTrue(connection.recv(100).startswith(b"HTTP/1.1 200 OK\r\n"))

    def test_everything_is_bounded(self):
        self.assertEqual(self.status_of(b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000), 431)
        self.assertEqual(self.status_of(b"GET / HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n"), 413)

    def test_body_of_the_greatest_size_is_read(self):
        body = b" " * (1024 * 1024 - 2) + b"{}"
        self.assertEqual(self.clari("POST", "/export/forecast/net_arr", body).status, 200)

    def test_what_is_not_understood_is_refused(self):
        for request, status in ((b"GET /\r\n\r\n", 400), (b"GET / HTTP/1.0\r\n\r\n", 505),
                                (b"GET / HTTP/1.1\r\nnonsense\r\n\r\n", 400),
                                (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
                                (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411)):
            self.assertEqual(self.status_of(request), status, request)

    def test_rate_and_number_of_jobs(self):
        """2,000 requests a second on one core are at most half a millisecond of processor time for each."""
        jobs = 10_000
        self.configure(organizations={"acme": {"concurrent_limit": jobs, "monthly_quota": jobs}})
        request = (b"POST /v4/export/forecast/net_arr HTTP/1.1\r\nHost: x\r\napikey: demo-key\r\n"
                   b"Content-Length: 24\r\n\r\n{\"timePeriod\":\"2026_Q1\"}")
        cpu, began = self.server.cpu_seconds(), time.monotonic()
        with self.raw(request) as connection:
            for _ in range(jobs - 1):
                connection.recv(4096)
                connection.sendall(request)
            connection.recv(4096)
        cpu, elapsed = self.server.cpu_seconds() - cpu, time.monotonic() - began
        print(f"\n# {jobs} submissions: {jobs / elapsed:.0f} a second, "
              f"{cpu / jobs * 1e6:.0f} us of processor time each",
              file=sys.stderr)
        self.assertLess(cpu / jobs, 0.0005)
        self.assertEqual(len(self.clari("GET", "/export/jobs").json()), jobs)
        self.assertEqual(self.limits()["availableMonthlyQuota"], 0)


class SubmissionTest(SimulatorTest):
    def test_each_kind_of_export(self):
        for path, body, status, module in (
                ("/export/forecast/net_arr", {"timePeriod": "2026_Q1"}, 200, "FORECAST"),
                ("/export/activity", {"activityTypes": ["MEETING"], "startDate": "2026-01-01T00:00:00Z"},
                 202, "ACTIVITY"),
                ("/export/audit/events", {"sessionType": "WEB", "dateFrom": "2026-01-01T00:00:00+02:00"},
                 202, "AUDIT")):
            answer = self.clari("POST", path, body)
            self.assertEqual(answer.status, status)
            self.assertRegex(answer.json()["jobId"], "^[0-9a-f]{24}$")
            self.assertEqual(self.job(answer.json()["jobId"])["module"], module)

    def test_body_may_be_absent(self):
        self.assertEqual(self.clari("POST", "/export/forecast/net_arr").status, 200)

    def test_job_ids_never_come_back(self):
        before = self.submit()
        self.control("POST", "reset", {})
        self.assertNotEqual(self.submit(), before)

    def test_unknown_key(self):
        for key in ("no-such-key", None):
            answer = self.clari("GET", "/admin/limits", key=key)
            self.assertEqual(answer.status, 401)
            self.assertNotIn("code", answer.json())

    def test_forecast_the_user_may_not_see(self):
        self.configure(keys={KEY: {"forecasts": ["renewals"]}})
        self.assert_refused(self.clari("POST", "/export/forecast/net_arr", {}), 401, "no_optin")
        self.submit("renewals")

    def test_unknown_and_missing_forecast(self):
        self.assert_refused(self.clari("POST", "/export/forecast/nope", {}), 400, "no_such_forecast_config")
        self.assert_refused(self.clari("POST", "/export/forecast/", {}), 400, "missing_forecast_id")
        self.configure(forecasts=["a b/ü"])
        self.submit("a%20b%2F%C3%BC")

    def test_bad_parameters(self):
        for body, code in (({"typesToExport": ["nonsense"]}, "type_not_supported"),
                           ({"typesToExport": "forecast"}, "bad_request"), ({"exportFormat": "XML"}, "bad_request"),
                           ({"schedule": "TWICE"}, "bad_request"), ({"includeHistorical": 1}, "bad_request"),
                           ({"currency": "XXX"}, "bad_request"), ({"timePeriod": 3}, "bad_request"),
                           ("{", "bad_request"), ("[]", "bad_request")):
            self.assert_refused(self.clari("POST", "/export/forecast/net_arr", body), 400, code)
        for body, code in (({"activityTypes": ["CALL"]}, "type_not_supported"),
                           ({"exportFormat": "CSV"}, "bad_request"),
                           ({"startDate": "2026-01-01"}, "bad_request"), ({"endDate": "soon"}, "bad_request")):
            self.assert_refused(self.clari("POST", "/export/activity", body), 400, code)
        self.assert_refused(self.clari("POST", "/export/audit/events", {"sessionType": "TV"}), 400, "bad_request")

    def test_unknown_endpoint(self):
        for method, path in (("GET", "/nothing"), ("DELETE", "/export/jobs"), ("GET", "/export/forecast/net_arr")):
            self.assertEqual(self.clari(method, path).status, 404)
        self.assertEqual(self.send("GET", "/v3/admin/limits").status, 404)

    def test_error_forms(self):
        full = self.clari("POST", "/export/forecast/nope", {}).json()
        self.assertEqual(sorted(full), ["code", "errorId", "message", "namespace", "orgId"])
        self.assertEqual(full["orgId"], 2915)
        self.configure(error_form="message")
        self.assertEqual(list(self.clari("POST", "/export/forecast/nope", {}).json()), ["message"])
        self.configure(error_form="errors")
        error = self.clari("POST", "/export/forecast/nope", {}).json()["errors"][0]
        self.assertEqual((error["status"], error["code"]), (400, "no_such_forecast_config"))

    def test_what_is_not_known_exports_the_current_quarter(self):
        for body, period in (({}, "2026_Q3"), ({"timePeriod": "2025_Q4"}, "2025_Q4"),
                             ({"timePeriod": "2031_Q1"}, "2026_Q3"), ({"timePeriod": "Q4 2025"}, "2026_Q3"),
                             ({"timePeriod": "2025_Q4", "nonsense": 1}, "2026_Q3")):
            job_id = self.submit(body=body)
            self.assertEqual(self.result(job_id).json()["timePeriods"][0]["timePeriodId"], period, body)
            self.assertIn(f"_net_arr_{period}2915_", self.job(job_id)["fileName"])

    def test_periods_are_settings(self):
        self.configure(current_period="2027_Q2", known_periods=["2027_Q1"])
        periods = [self.export(timePeriod=period)["timePeriods"][0]["timePeriodId"]
                   for period in ("2027_Q1", "2025_Q1")]
        self.assertEqual(periods, ["2027_Q1", "2027_Q2"])


class JobTest(SimulatorTest):
    def status(self, job_id):
        return self.job(job_id)["status"]

    def life(self, plan, moments):
        """The statuses of such a job at those seconds after its acceptance."""
        self.plan(plan)
        job_id, reached, statuses = self.submit(), 0, []
        for moment in moments:
            self.control("POST", "advance", {"seconds": moment - reached})
            reached = moment
            statuses.append(self.status(job_id))
        return statuses

    def test_job_object(self):
        self.plan({"duration_ms": 100_000})
        job_id = self.submit(body={"timePeriod": "2026_Q1", "currency": "EUR"})
        job = self.job(job_id)
        self.assertEqual((job["jobId"], job["userId"], job["orgId"], job["status"], job["fileType"], job["currency"]),
                         (job_id, "u1", 2915, "STARTED", "JSON", "EUR"))
        self.assertRegex(job["fileName"], r"^clari_export_forecast_net_arr_2026_Q12915_\d{8}_\d{6}\.json$")
        self.assertNotIn("endTime", job)
        self.control("POST", "advance", {"seconds": 200})
        job = self.job(job_id)
        self.assertEqual(job["endTime"], job["startTime"] + 100_000)
        self.assertEqual(job["expiredTime"], job["endTime"] + 30 * DAY * 1000)
        self.assertEqual((job["viewed"], job["downloads"]), (False, 0))
        self.result(job_id)
        self.assertEqual((self.job(job_id)["viewed"], self.job(job_id)["downloads"]), (True, 1))

    def test_planned_life(self):
        for outcome in ("DONE", "COMPLETED", "FAILED", "CANCELLED", "ABORTED"):
            plan = {"scheduled_ms": 10_000, "duration_ms": 20_000, "outcome": outcome}
            self.assertEqual(self.life(plan, (0, 9, 11, 29, 31, 1000)),
                             ["SCHEDULED", "SCHEDULED", "STARTED", "STARTED", outcome, outcome])

    def test_planned_statuses(self):
        plan = {"statuses": [[0, "SCHEDULED"], [10_000, "WARMING_UP"], [20_000, "DONE"]]}
        self.assertEqual(self.life(plan, (0, 11, 21)), ["SCHEDULED", "WARMING_UP", "DONE"])

    def test_a_job_is_done_at_once_by_default(self):
        self.assertEqual(self.status(self.submit()), "DONE")

    def test_plans_are_used_in_order_then_the_default(self):
        self.configure(job={"outcome": "COMPLETED"})
        self.plan({"outcome": "FAILED"}, {})
        self.assertEqual([self.status(self.submit()) for _ in range(3)], ["FAILED", "COMPLETED", "COMPLETED"])

    def test_a_refused_submission_uses_no_plan(self):
        self.plan({"outcome": "FAILED"})
        self.clari("POST", "/export/forecast/nope", {})
        self.assertEqual(self.status(self.submit()), "FAILED")

    def test_wrapped(self):
        self.plan({"wrapped": True}, {"wrapped_in_list": True})
        wrapped, listed = self.submit(), self.submit()
        self.assertEqual(self.job(wrapped)["job"]["jobId"], wrapped)
        self.assertEqual(self.job(listed)["jobId"], listed)
        listing = self.clari("GET", "/export/jobs").json()
        self.assertEqual((listing[0]["job"]["jobId"], listing[1]["jobId"]), (listed, wrapped))

    def test_truncated_and_file_name(self):
        self.plan({"truncated": True, "file_name": "other.json"})
        job = self.job(self.submit())
        self.assertEqual((job["cellsTruncated"], job["rowsTruncated"], job["fileName"]), (True, True, "other.json"))

    def test_unknown_and_foreign_jobs(self):
        self.assert_refused(self.clari("GET", "/export/jobs/ffff"), 400, "invalid_jobId")
        foreign = self.submit(key="second-key")
        for method, path, body in (("GET", "", None), ("GET", "/results", None), ("PATCH", "", {"type": "CANCEL"})):
            self.assertEqual(self.clari(method, f"/export/jobs/{foreign}{path}", body).status, 403)

    def test_list_has_the_jobs_of_the_user_newest_first(self):
        mine = self.submit()
        self.submit(key="second-key")
        colleagues = self.control("POST", "start_job", {})["jobId"]
        listed = [job["jobId"] for job in self.clari("GET", "/export/jobs").json()]
        self.assertEqual(listed, [colleagues, mine])

    def test_list_delay(self):
        self.configure(job_list_delay_ms=60_000)
        self.submit()
        self.assertEqual(self.clari("GET", "/export/jobs").json(), [])
        self.control("POST", "advance", {"seconds": 61})
        self.assertEqual(len(self.clari("GET", "/export/jobs").json()), 1)

    def cancel(self, job_id):
        return self.clari("PATCH", f"/export/jobs/{job_id}", {"type": "CANCEL"})

    def test_cancel(self):
        self.plan({"scheduled_ms": 10_000}, {"duration_ms": 10_000}, {})
        for expected in ("CANCELLED", "ABORTED"):
            job_id = self.submit()
            self.assertEqual(self.cancel(job_id).json(), {"status": expected, "successful": True})
            self.assertEqual(self.status(job_id), expected)
            self.assert_refused(self.cancel(job_id), 400, "export_failed_to_cancel")
        self.assertEqual(self.limits()["availableMonthlyQuota"], 1000)
        self.assert_refused(self.cancel(self.submit()), 400, "export_failed_to_cancel")
        self.assert_refused(self.cancel("nope"), 400, "invalid_jobId")
        self.assert_refused(self.clari("PATCH", f"/export/jobs/{self.submit()}", {"type": "STOP"}), 400, "bad_request")

    def test_results_only_while_the_job_is_done(self):
        self.plan({"duration_ms": 10_000}, {"outcome": "FAILED"}, {"outcome": "COMPLETED"})
        running, failed, completed = (self.submit() for _ in range(3))
        self.assert_refused(self.result(running), 400, "invalid_jobId")
        self.assert_refused(self.result(failed), 400, "invalid_jobId")
        self.assertEqual(self.result(completed).status, 200)
        self.control("POST", "advance", {"seconds": 31 * DAY})
        self.assert_refused(self.result(completed), 400, "invalid_jobId")


class LimitsTest(SimulatorTest):
    def refused(self, **options):
        answer = self.clari("POST", "/export/forecast/net_arr", {}, **options)
        self.assert_refused(answer, 400, "export_monthly_quota_reached")

    def test_limits_of_an_idle_organization(self):
        self.assertEqual(self.limits(), {"concurrentLimit": 3, "monthlyQuota": 1000, "submittedJobIds": [],
                                         "availableConcurrentLimit": 3, "availableMonthlyQuota": 1000})

    def test_concurrent_limit(self):
        self.configure(job={"duration_ms": 10_000})
        jobs = [self.submit() for _ in range(3)]
        self.refused()
        limits = self.limits()
        self.assertEqual(limits["runningJobIds"], jobs)
        self.assertEqual((limits["availableConcurrentLimit"], limits["availableMonthlyQuota"]), (0, 997))
        self.clari("PATCH", f"/export/jobs/{jobs[1]}", {"type": "CANCEL"})
        self.assertEqual(self.limits()["runningJobIds"], [jobs[0], jobs[2]])
        self.submit()
        self.refused()
        self.control("POST", "advance", {"seconds": 11})
        self.assertNotIn("runningJobIds", self.limits())
        self.submit()

    def test_limits_belong_to_the_organization(self):
        self.configure(job={"duration_ms": 10_000})
        self.submit(key="second-key")
        self.refused(key="second-key")
        self.submit()
        self.assertEqual(self.limits(key="colleague-key")["availableConcurrentLimit"], 2)
        self.assertEqual(self.limits(key="second-key")["availableConcurrentLimit"], 0)

    def test_monthly_quota_is_a_rolling_window(self):
        self.configure(organizations={"acme": {"monthly_quota": 2}})
        self.submit()
        self.control("POST", "advance", {"seconds": 10 * DAY})
        self.submit()
        self.refused()
        self.assertEqual((self.limits()["availableMonthlyQuota"], self.limits()["availableConcurrentLimit"]), (0, 3))
        self.control("POST", "advance", {"seconds": 19 * DAY})
        self.refused()
        self.control("POST", "advance", {"seconds": 2 * DAY})
        self.submit()
        self.refused()

    def test_failed_jobs_count_and_refused_ones_do_not(self):
        self.plan({"outcome": "FAILED"})
        self.submit()
        self.clari("POST", "/export/forecast/nope", {})
        self.assertEqual(self.limits()["availableMonthlyQuota"], 999)

    def test_a_job_started_by_somebody_else_takes_its_place(self):
        other = self.control("POST", "start_job", {"plan": {"duration_ms": 1000}, "forecast_id": "renewals",
                                                   "time_period": "2026_Q1"})["jobId"]
        self.assertEqual(self.limits()["runningJobIds"], [other])
        self.assertIn("renewals_2026_Q1", self.job(other)["fileName"])

    def test_rate_limit(self):
        for retry_after, pattern in (("2", "^2$"), ("date", "GMT$"), ("none", None)):
            self.control("POST", "reset", {"rate_limit": {"requests_per_second": 2, "retry_after": retry_after}})
            answers = [self.clari("GET", "/admin/limits") for _ in range(3)]
            self.assertEqual([answer.status for answer in answers], [200, 200, 429])
            header = answers[2].headers.get("Retry-After")
            self.assertTrue(header is None if pattern is None else re.search(pattern, header), header)
            self.assertEqual(self.clari("GET", "/admin/limits", key="second-key").status, 200)

    def test_a_bucket_of_tokens_fills_at_a_steady_pace(self):
        now = 100.0
        buckets = TokenBuckets(lambda: now)
        admitted = []
        for n in range(100):
            now = 100 + n / 8
            if buckets.admits("a", 1, 3):
                admitted.append(n / 8)
        self.assertEqual(admitted, [0, 0.125, 0.25, *range(1, 13)])
        self.assertTrue(buckets.admits("b", 1, 1))
        self.assertFalse(buckets.admits("b", 1, 1))

    def test_rate_limit_with_burst(self):
        self.configure(rate_limit={"requests_per_second": 0.01, "burst": 2, "retry_after": "1"})
        self.assertEqual([self.clari("GET", "/admin/limits").status for _ in range(3)], [200, 200, 429])

    def test_rate_limit_ends(self):
        self.configure(rate_limit={"requests_per_second": 1})
        self.limits()
        began = time.monotonic()
        self.eventually(lambda: self.clari("GET", "/admin/limits").status == 200)
        self.assertGreater(time.monotonic() - began, 0.9)


class ClockTest(SimulatorTest):
    def date(self, answer):
        return parsedate_to_datetime(answer.headers["Date"]).timestamp()

    def test_date_follows_offset_and_calendar(self):
        now = time.time()
        self.assertAlmostEqual(self.date(self.clari("GET", "/admin/limits")), now, delta=5)
        self.configure(clock_offset_seconds=-300)
        self.assertAlmostEqual(self.date(self.clari("GET", "/admin/limits")), now - 300, delta=5)
        self.control("POST", "advance", {"seconds": DAY})
        self.assertAlmostEqual(self.date(self.clari("GET", "/admin/limits")), now - 300 + DAY, delta=5)

    def test_job_times_follow_the_offset(self):
        self.configure(clock_offset_seconds=3600)
        job = self.job(self.submit())
        for name in ("startTime", "endTime"):
            self.assertAlmostEqual(job[name] / 1000, time.time() + 3600, delta=5)

    def test_every_reply_has_a_date(self):
        self.assertIn("Date", self.clari("GET", "/nothing", key=None).headers)
        self.rule({"html": True})
        self.assertIn("Date", self.clari("GET", "/admin/limits").headers)

    def test_the_calendar_moves_forward_only(self):
        self.control("POST", "advance", {"seconds": -1}, status=400)


class CompressionTest(SimulatorTest):
    def test_large_bodies_are_compressed_for_who_accepts_it(self):
        job_id = self.submit()
        compressed = self.result(job_id, headers={"Accept-Encoding": "deflate, gzip"})
        self.assertEqual(compressed.headers["Content-Encoding"], "gzip")
        self.assertEqual(compressed.json(), self.result(job_id).json())
        self.assertNotIn("Content-Encoding", self.result(job_id).headers)
        small = self.clari("GET", "/admin/limits", headers={"Accept-Encoding": "gzip"})
        self.assertNotIn("Content-Encoding", small.headers)

    def test_compression_can_be_switched_off(self):
        self.configure(gzip=False)
        self.assertNotIn("Content-Encoding", self.result(self.submit(), headers={"Accept-Encoding": "gzip"}).headers)


class ForecastTest(SimulatorTest):
    def values(self, result):
        """{(user id, field id, time frame id): value}"""
        return {(entry["userId"], entry["fieldId"], entry["timeFrameId"]): entry["forecastValue"]
                for entry in result["entries"]}

    def frames(self, **body):
        return [frame["timeFrameId"] for frame in self.export(**body)["timeFrames"]]

    def assert_adds_up(self, result, key="forecastValue"):
        role_of = {user["userId"]: user["hierarchyId"] for user in result["users"]}
        parent_of = {user["hierarchyId"]: user.get("parentHierarchyId") for user in result["users"]}
        own, sums = {}, {}
        for entry in result["entries"]:
            role, what = role_of[entry["userId"]], (entry["fieldId"], entry["timeFrameId"])
            own[role, what] = entry[key]
            parent = parent_of[role], what
            sums[parent] = sums.get(parent, 0) + entry[key]
        managers = [place for place in sums if place in own]
        self.assertGreater(len(managers), 0)
        for place in managers:
            self.assertEqual(own[place], sums[place])

    def test_the_five_arrays_refer_to_each_other(self):
        result = self.export(timePeriod="2026_Q2")
        self.assertEqual(list(result), ["entries", "users", "fields", "timePeriods", "timeFrames"])
        known = {name: {item[name] for item in result[array]} for name, array in (
            ("userId", "users"), ("fieldId", "fields"), ("timePeriodId", "timePeriods"), ("timeFrameId", "timeFrames"))}
        for entry in result["entries"]:
            for name, ids in known.items():
                self.assertIn(entry[name], ids)
        self.assertEqual(len({tuple(entry[name] for name in known) for entry in result["entries"]}),
                         len(result["entries"]))
        self.assertEqual(result["timePeriods"], [{
            "timePeriodId": "2026_Q2", "type": "QUARTER", "label": "Q2 2026", "year": 2026,
            "startDate": "2026-04-01", "endDate": "2026-06-30", "crmId": "0265f0000020262AAA"}])

    def test_users_form_a_hierarchy(self):
        users = self.export()["users"]
        roles = {user["hierarchyId"]: user for user in users}
        self.assertEqual([user["name"] for user in users if "parentHierarchyId" not in user], [users[0]["name"]])
        for user in users[1:]:
            self.assertEqual(roles[user["parentHierarchyId"]]["hierarchyName"], user["parentHierarchyName"])
        self.assertEqual(len({user["email"] for user in users}), len(users))
        self.assertEqual({type(user["scopeId"]) for user in users}, {str, dict})

    def test_numbers_add_up(self):
        self.assert_adds_up(self.export(timePeriod="2026_Q1", includeHistorical=True))
        self.assert_adds_up(self.export(typesToExport=["quota"]), "quotaValue")

    def test_numbers_are_repeatable_and_differ_where_they_should(self):
        first = self.export(timePeriod="2026_Q1")
        self.assertEqual(self.export(timePeriod="2026_Q1"), first)
        self.assertNotEqual(self.values(self.export(timePeriod="2026_Q2")), self.values(first))
        self.assertNotEqual(self.values(self.result(self.submit("renewals", {"timePeriod": "2026_Q1"})).json()),
                            self.values(first))
        self.configure(seed="other")
        self.assertNotEqual(self.export(timePeriod="2026_Q1")["users"], first["users"])

    def test_history_is_plausible(self):
        result = self.export(timePeriod="2025_Q4", includeHistorical=True)
        head, values = result["users"][0]["userId"], self.values(result)
        series = {field: [values[head, field, f"W_{week:02d}"] for week in range(13)]
                  for field in ("commit", "best_case", "closed")}
        self.assertEqual(series["closed"], sorted(series["closed"]))
        for commit, best_case, closed in zip(*series.values()):
            self.assertTrue(closed <= commit <= best_case)
        self.assertEqual(series["commit"][12], series["closed"][12])
        for before, after in zip(series["commit"], series["commit"][1:]):
            self.assertLess(abs(after - before) / before, 0.05)

    def test_weeks(self):
        self.assertEqual(self.frames(timePeriod="2025_Q4"), ["W_12"])
        self.assertEqual(self.frames(), ["W_08"])
        self.assertEqual(self.frames(timePeriod="2026_Q4"), ["W_00"])
        history = self.frames(timePeriod="2025_Q4", includeHistorical=True)
        self.assertEqual(sorted(history), [f"W_{week:02d}" for week in range(13)])
        self.assertNotEqual(history, sorted(history))
        self.assertEqual(len(self.frames(includeHistorical=True)), 9)
        self.configure(current_week=3, first_week_number=1)
        self.assertEqual(self.frames(), ["W_04"])

    def test_weeks_cover_the_quarter(self):
        frames = sorted(self.export(timePeriod="2025_Q4", includeHistorical=True)["timeFrames"],
                        key=lambda frame: frame["timeFrameId"])
        self.assertEqual((frames[0]["startDate"], frames[0]["endDate"]), ("2025-10-01", "2025-10-07"))
        self.assertEqual((frames[12]["startDate"], frames[12]["endDate"]), ("2025-12-24", "2025-12-31"))

    def test_types_to_export(self):
        keys = {"forecast": "forecastValue", "quota": "quotaValue", "adjustment": "adjustmentValue",
                "crm_total": "crmTotalValue", "crm_closed": "crmClosedValue"}
        for export_type, key in keys.items():
            for entry in self.export(typesToExport=[export_type])["entries"]:
                self.assertEqual([name for name in entry if name.endswith("Value")], [key])
                self.assertNotIn("isUpdated", entry)
        entries = self.export()["entries"]
        self.assertEqual({entry["isUpdated"] for entry in entries}, {True, False})
        for entry in entries:
            self.assertEqual("updatedBy" in entry and entry["updatedOn"] > 0, entry["isUpdated"])

    def test_currency_and_scope(self):
        dollars, euros = self.export()["entries"][0], self.export(currency="EUR")["entries"][0]
        self.assertEqual(dollars["currency"], {"code": "USD", "symbol": "$"})
        self.assertEqual(euros["currency"], {"code": "EUR", "symbol": "€"})
        self.assertAlmostEqual(euros["forecastValue"] / dollars["forecastValue"], 0.9, places=3)
        everybody = self.export()["users"]
        part = self.export(scopeId=everybody[1]["scopeId"])
        self.assertEqual(part["users"][0]["userId"], everybody[1]["userId"])
        self.assertLess(1, len(part["users"]))
        self.assertLess(len(part["users"]), len(everybody))
        self.assert_adds_up(part)

    def test_form_2(self):
        self.plan({}, {"form": 2})
        arrays, rows = self.export(timePeriod="2026_Q1"), self.export(timePeriod="2026_Q1")
        self.assertEqual(list(rows[0]), ["User", "Email", "CRM User ID", "Role", "Parent Role", "Timeframe", "Field",
                                         "Week", "Start Day", "End Day", "Data Type", "Data Value"])
        user, entry = arrays["users"][0], arrays["entries"][0]
        self.assertEqual(list(rows[0].values()), [
            user["name"], user["email"], user["crmId"], user["hierarchyName"], "", "2026_Q1", "Commit", 12,
            "03/26/2026", "03/31/2026", "Forecast", f"${entry['forecastValue']:,}.00"])
        updated = {row["Data Value"] for row in rows if row["Data Type"] == "Forecast Updated"}
        self.assertEqual(updated, {"Yes", "No"})

    def test_csv(self):
        self.plan({}, {"form": 2})
        job_id = self.submit(body={"exportFormat": "CSV"})
        answer, rows = self.result(job_id), self.export()
        self.assertEqual(answer.headers["Content-Type"], "text/csv")
        self.assertEqual((self.job(job_id)["fileType"], self.job(job_id)["fileName"][-4:]), ("CSV", ".csv"))
        lines = answer.body.decode().splitlines()
        self.assertEqual(lines[0], ",".join(rows[0]))
        self.assertEqual(len(lines), len(rows) + 1)

    def test_drift(self):
        self.configure(export_drift=0.05)
        first, second, third = (self.export(timePeriod="2026_Q3", includeHistorical=True) for _ in range(3))
        moved = {place for place, value in self.values(first).items() if self.values(second)[place] != value}
        self.assertEqual({frame for _, _, frame in moved}, {"W_08"})
        self.assertEqual({field for _, field, _ in moved}, {"commit", "best_case"})
        self.assertNotEqual(self.values(second), self.values(third))
        self.assert_adds_up(second)
        head = (first["users"][0]["userId"], "commit", "W_08")
        self.assertLess(abs(self.values(second)[head] / self.values(first)[head] - 1), 0.05)

    def test_result_plans(self):
        self.plan({"period": "2025_Q1"}, {"period": "odd"}, {"result": {"a": [1]}}, {"result_text": "{broken"})
        self.assertEqual(self.export(timePeriod="2026_Q1")["timePeriods"][0]["timePeriodId"], "2025_Q1")
        self.assertEqual(self.export()["entries"][0]["timePeriodId"], "odd")
        self.assertEqual(self.export(), {"a": [1]})
        self.assertEqual(self.result(self.submit()).body, b"{broken")

    def test_result_from_a_file(self):
        content = os.urandom(600_000)
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            self.plan({"result_file": file.name})
            self.assertEqual(self.result(self.submit()).body, content)

    def test_size(self):
        for entries, history in ((4, False), (500, False), (15_000, True), (60_000, True), (200_000, False)):
            self.plan({"result_entries": entries})
            result = self.export(timePeriod="2025_Q1", includeHistorical=history)
            self.assertAlmostEqual(len(result["entries"]) / entries, 1, delta=2 if entries < 10 else 0.2)
            self.assert_adds_up(result)

    def test_large_results_are_streamed_and_others_served_meanwhile(self):
        self.plan({"result_entries": 300_000})
        path = f"/v4/export/jobs/{self.submit()}/results"
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\napikey: demo-key\r\n\r\n".encode()
        with self.raw(request) as connection:
            self.assertIn(b"Transfer-Encoding: chunked", connection.recv(4096))
            self.assertEqual(self.limits()["concurrentLimit"], 3)
            received = 0
            while received < 40_000_000:
                received += len(connection.recv(1 << 20))

    def test_activities(self):
        answer = self.clari("POST", "/export/activity", {"activityTypes": ["EMAIL_SENT"], "exportFormat": "JSON",
                                                         "startDate": "2026-01-01T00:00:00Z",
                                                         "endDate": "2026-01-01T10:00:00Z"})
        activities = self.result(answer.json()["jobId"]).json()["activities"]
        self.assertEqual(len(activities), 25)
        self.assertEqual((activities[0]["activityType"], activities[0]["date"]),
                         ("EMAIL_SENT", 1767225600000))
        self.assertEqual(len({activity["activityId"] for activity in activities}), 25)
        self.assertLess(activities[-1]["date"], 1767225600000 + 10 * 3_600_000)
        self.plan({"result_entries": 30_000})
        many = self.result(self.clari("POST", "/export/activity").json()["jobId"])
        self.assertEqual((many.headers["Transfer-Encoding"], len(many.json()["activities"])), ("chunked", 30_000))

    def test_audit_events(self):
        answer = self.clari("POST", "/export/audit/events", {"actorId": "a", "event": "LOGIN", "sessionType": "IOS"})
        items = self.result(answer.json()["jobId"]).json()["items"]
        self.assertEqual({(item["actorId"], item["event"], item["sessionType"]) for item in items},
                         {("a", "LOGIN", "IOS")})


class RuleTest(SimulatorTest):
    """Which requests a rule applies to."""

    def statuses(self, number, method="GET", path="/admin/limits", **options):
        return [self.clari(method, path, **options).status for _ in range(number)]

    def test_times_and_skip(self):
        self.rule({"status": 500})
        self.assertEqual(self.statuses(2), [500, 200])
        self.rule({"status": 500}, skip=1, times=2)
        self.assertEqual(self.statuses(4), [200, 500, 500, 200])
        self.rule({"status": 500}, times=-1)
        self.assertEqual(self.statuses(4), [500] * 4)

    def test_match(self):
        self.rule({"status": 500}, match={"method": "GET", "path": "^/admin", "key": "second-key"}, times=-1)
        self.assertEqual(self.statuses(1), [200])
        self.assertEqual(self.statuses(1, path="/export/jobs", key="second-key"), [200])
        self.assertEqual(self.statuses(1, method="POST", key="second-key"), [404])
        self.assertEqual(self.statuses(1, key="second-key"), [500])

    def test_the_first_that_applies_is_the_only_one(self):
        self.control("POST", "rules", [{"do": {"status": 501}}, {"do": {"status": 502}, "skip": 1}])
        self.assertEqual(self.statuses(3), [501, 200, 502])
        self.assertEqual([entry["rule"] for entry in self.log()], [0, None, 1])

    def test_reset_forgets_rules(self):
        self.rule({"status": 500}, times=-1)
        self.control("POST", "reset", {})
        self.assertEqual(self.statuses(1), [200])

    def test_control_requests_meet_no_rule(self):
        self.rule({"status": 500}, times=-1)
        self.control("GET", "stats")

    def test_mistakes_are_refused(self):
        for rule in ({"when": {}}, {"match": {"url": "x"}}, {"match": {"path": "("}}, {"do": {"statsu": 500}},
                     {"do": {"status": "500"}}, {"do": {"body_base64": "?"}}, {"times": "2"},
                     {"do": {"headers": {"X": {"in": 2}}}}, {"do": {"body_text": 1}}, {"do": {"drop_headers": "Date"}}):
            self.assertIn("error", self.control("POST", "rules", [rule], status=400))
        self.assertIn("error", self.control("POST", "rules", {}, status=400))
        self.assertEqual(self.statuses(1), [200])


class FaultTest(SimulatorTest):
    """What a rule does."""

    def fault(self, do, **options):
        self.rule(do)
        return self.clari("GET", "/admin/limits", **options)

    def accepted(self):
        return self.control("GET", "stats")["organizations"].get("acme", {}).get("accepted", 0)

    def test_status_has_the_usual_error_body(self):
        for status, code in ((400, "bad_request"), (403, "forbidden"), (500, "SWW")):
            self.assert_refused(self.fault({"status": status}), status, code)
        for status in (401, 429, 503):
            self.assertEqual(list(self.fault({"status": status}).json()), ["message"])
        no_content = self.fault({"status": 204})
        self.assertEqual((no_content.status, no_content.body), (204, b""))

    def test_headers(self):
        answer = self.fault({"headers": {"content-type": "text/odd", "X-Twice": ["1", "2"], "Retry-After": 7}})
        self.assertEqual((answer.status, answer.headers.get_all("Content-Type")), (200, ["text/odd"]))
        self.assertEqual(answer.headers.get_all("X-Twice"), ["1", "2"])
        self.assertEqual(answer.headers["Retry-After"], "7")

    def test_date_in(self):
        self.configure(clock_offset_seconds=-1000)
        headers = self.fault({"status": 429, "headers": {"Retry-After": {"date_in": 2}}}).headers
        retry, date = (parsedate_to_datetime(headers[name]) for name in ("Retry-After", "Date"))
        self.assertEqual((retry - date).total_seconds(), 2)

    def test_replaced_and_dropped_date(self):
        self.assertEqual(self.fault({"headers": {"date": "soon"}}).headers.get_all("Date"), ["soon"])
        self.assertNotIn("Date", self.fault({"drop_headers": ["date"]}).headers)

    def test_without_content_length_the_end_is_the_end(self):
        self.rule({"drop_headers": ["Content-Length"]})
        self.assertTrue(self.raw_reply().endswith(b'"availableMonthlyQuota":1000}}'))

    def test_bodies(self):
        self.assertEqual(self.fault({"body": {"a": 1}}).json(), {"a": 1})
        self.assertEqual(self.fault({"body_text": "{oops"}).body, b"{oops")
        self.assertEqual(self.fault({"body_base64": "AAH/"}).body, b"\x00\x01\xff")
        self.assertEqual(self.fault({"empty": True}).body, b"")
        self.assertEqual(self.fault({"status": 429, "empty": True}).status, 429)
        self.assertEqual(self.fault({"status": 500, "body": {"message": "x"}}).json(), {"message": "x"})

    def test_html(self):
        answer = self.fault({"html": True})
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (502, "text/html"))
        self.assertIn(b"<h1>429 Too Many Requests</h1>", self.fault({"status": 429, "html": True}).body)

    def test_redirect(self):
        answer = self.fault({"redirect": "http://127.0.0.1:1/elsewhere"})
        self.assertEqual((answer.status, answer.headers["Location"]), (302, "http://127.0.0.1:1/elsewhere"))

    def test_oversize(self):
        for size in (100, 3_000_000):
            answer = self.fault({"oversize": size})
            self.assertEqual((answer.status, len(answer.body), list(answer.json())), (200, size, ["padding"]))

    def test_gzip_bomb(self):
        answer = self.fault({"gzip_bomb": 30_000_000})
        self.assertEqual(answer.headers["Content-Encoding"], "gzip")
        self.assertLess(len(answer.body), 100_000)
        self.assertEqual(len(gzip.decompress(answer.body)), 30_000_000)

    def test_content_encoding_lie(self):
        answer = self.fault({"content_encoding_lie": True}, headers={"Accept-Encoding": "gzip"})
        self.assertEqual(answer.headers["Content-Encoding"], "gzip")
        self.assertEqual(json.loads(answer.body)["jobs"]["concurrentLimit"], 3)

    def test_delay(self):
        began = time.monotonic()
        self.assertEqual(self.fault({"delay_ms": 80}).status, 200)
        self.assertGreaterEqual(time.monotonic() - began, 0.08)
        entry = self.log()[0]
        self.assertGreaterEqual(entry["t_end"] - entry["t"], 0.08)

    def test_delayed_requests_take_effect_at_once(self):
        self.rule({"delay_ms": 100_000})
        with self.raw(b"POST /v4/export/forecast/net_arr HTTP/1.1\r\napikey: demo-key\r\n\r\n"):
            self.eventually(lambda: self.accepted() == 1)

    def assert_silent(self, connection):
        connection.settimeout(SILENCE_SECONDS)
        with self.assertRaises(TimeoutError):
            connection.recv(1)

    def test_hang(self):
        self.rule({"hang": True})
        with self.raw() as connection:
            self.assert_silent(connection)
        entry = self.log()[0]
        self.assertEqual((entry["status"], entry["t_end"]), (None, None))
        self.assertEqual(self.clari("GET", "/admin/limits").status, 200)

    def test_hang_after_bytes(self):
        self.rule({"hang_after_bytes": 5})
        with self.raw() as connection:
            received = connection.recv(4096)
            self.assertEqual(received.partition(b"\r\n\r\n")[2], b'{"job')
            self.assertNotIn(b"Content-Length: 5\r", received)
            self.assert_silent(connection)

    def test_truncate(self):
        self.rule({"truncate": 7})
        head, _, body = self.raw_reply().partition(b"\r\n\r\n")
        self.assertEqual(body, b'{"jobs"')
        self.assertGreater(int(re.search(rb"Content-Length: (\d+)", head)[1]), 7)

    def test_truncate_a_stream(self):
        self.rule({"oversize": 1_000_000, "truncate": 100_000})
        with self.assertRaises(http.client.IncompleteRead):
            self.clari("GET", "/admin/limits")
        self.connection.close()
        self.assertIsNone(self.log()[0]["t_end"])

    def test_truncate_and_hang_after_nothing(self):
        self.rule({"truncate": 0})
        self.assertTrue(self.raw_reply().endswith(b"\r\n\r\n"))

    def test_raw(self):
        self.rule({"raw": ["HTTP/1.1 200 OK\r\n", ["X: \xe9\r\n", 2], "\r\n", ["ab", 100_000]]})
        head, _, body = self.raw_reply(b"GET /v4/admin/limits HTTP/1.1\r\nHost: x\r\napikey: demo-key\r\n"
                                       b"Accept-Encoding: gzip\r\n\r\n").partition(b"\r\n\r\n")
        self.assertEqual(head, b"HTTP/1.1 200 OK\r\nX: \xe9\r\nX: \xe9")
        self.assertEqual(body, b"ab" * 100_000)

    def test_drip(self):
        self.rule({"raw": ["HTTP/1.1 200 OK\r\n\r\n", ["x", 3]], "drip_ms": 20})
        began = time.monotonic()
        self.assertTrue(self.raw_reply().endswith(b"\r\n\r\nxxx"))
        self.assertGreaterEqual(time.monotonic() - began, 0.06)

    def test_body_file(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b'{"jobs": {}}')
            file.flush()
            self.assertEqual(self.fault({"body_file": file.name}).json(), {"jobs": {}})

    def test_reset_and_close(self):
        self.rule({"reset": True})
        with self.raw() as connection, self.assertRaises(ConnectionResetError):
            connection.recv(1)
        self.rule({"close": True})
        self.assertEqual(self.raw_reply(), b"")
        self.rule({"close": True, "delay_ms": 30})
        self.assertEqual(self.raw_reply(), b"")
        self.assertEqual([(entry["status"], entry["t_end"]) for entry in self.log()], [(None, None)] * 3)

    def post_with(self, do):
        self.rule(do)
        try:
            return self.clari("POST", "/export/forecast/net_arr", {})
        except (ConnectionError, http.client.IncompleteRead):
            self.connection.close()
            return None

    def test_process(self):
        for do, accepted in (({"status": 500}, 0), ({"reset": True}, 0), ({"close": True}, 0), ({"html": True}, 0),
                             ({"body": {}}, 0), ({"delay_ms": 1}, 1), ({"truncate": 3}, 1),
                             ({"headers": {"X": "1"}}, 1),
                             ({"process": True, "reset": True}, 1), ({"process": True, "status": 500}, 1),
                             ({"process": True, "close": True}, 1), ({"process": True, "body": {}}, 1),
                             ({"process": False, "delay_ms": 1}, 0)):
            self.control("POST", "reset", {})
            self.post_with(do)
            self.assertEqual(self.accepted(), accepted, do)
            self.assertEqual(len(self.clari("GET", "/export/jobs").json()), accepted, do)

    def test_accepted_then_lost(self):
        self.assertIsNone(self.post_with({"process": True, "reset": True}))
        entry = self.log()[0]
        listed = self.clari("GET", "/export/jobs").json()
        self.assertEqual((entry["job_id"], entry["status"], entry["rule"]), (listed[0]["jobId"], None, 0))

    def test_accepted_then_500_does_not_betray_the_job(self):
        self.assert_refused(self.post_with({"process": True, "status": 500}), 500, "SWW")

    def test_not_processed_without_a_reply_of_its_own(self):
        self.assertEqual(self.post_with({"process": False}).status, 503)

    def test_cancel_processed_but_refused(self):
        self.plan({"duration_ms": 10_000})
        job_id = self.submit()
        self.rule({"process": True, "status": 500}, match={"method": "PATCH"})
        self.clari("PATCH", f"/export/jobs/{job_id}", {"type": "CANCEL"})
        self.assertEqual(self.job(job_id)["status"], "ABORTED")


class LogTest(SimulatorTest):
    def test_entry(self):
        before = time.monotonic()
        job_id = self.submit(body={"timePeriod": "2026_Q1"})
        entry = self.log()[0]
        after = time.monotonic()
        self.assertTrue(before - 1e-6 <= entry["t"] <= entry["t_end"] <= after + 1e-6)
        del entry["t"], entry["t_end"], entry["connection"]
        self.assertEqual(entry, {"n": 1, "key": KEY, "method": "POST", "path": "/export/forecast/net_arr",
                                 "body": {"timePeriod": "2026_Q1"}, "status": 200, "job_id": job_id, "rule": None,
                                 "in_hold": False})

    def test_addressed_job_and_body_that_is_not_json(self):
        self.clari("GET", "/export/jobs/abc/results?x=1")
        self.clari("POST", "/export/activity", "text")
        entries = self.log()
        self.assertEqual((entries[0]["path"], entries[0]["job_id"]), ("/export/jobs/abc/results", "abc"))
        self.assertEqual((entries[0]["body"], entries[1]["body"]), (None, "text"))

    def test_filters(self):
        self.limits()
        self.limits(key="second-key")
        self.clari("GET", "/export/jobs/abc")
        self.submit()
        numbers = {query: [entry["n"] for entry in self.log(query)] for query in (
            "?since=2", "?key=second-key", "?method=POST", "?path=/admin/limits", "?job_id=abc",
            "?since=1&key=demo-key")}
        self.assertEqual(list(numbers.values()), [[3, 4], [2], [4], [1, 2], [3], [3, 4]])

    def holds(self, headers, status=429, drop=()):
        """Whether a request after such a reply is in a hold, and one of another key."""
        self.control("POST", "reset", {})
        self.rule({"status": status, "headers": headers, "drop_headers": list(drop)})
        for key in (KEY, KEY, "colleague-key"):
            self.clari("GET", "/admin/limits", key=key)
        first, second, other = (entry["in_hold"] for entry in self.log())
        self.assertFalse(first or other)
        return second

    def test_in_hold(self):
        far = "Fri, 01 Jan 2100 00:00:00 GMT"
        for headers in ({"Retry-After": "30"}, {"Retry-After": "1.5"}, {"retry-after": 30},
                        {"Retry-After": {"date_in": 30}}, {"Retry-After": ["0", "30"]}, {"Retry-After": far}):
            self.assertTrue(self.holds(headers), headers)
        self.assertTrue(self.holds({"Retry-After": far}, drop=["Date"]))
        for headers in ({}, {"Retry-After": "0"}, {"Retry-After": "soon"}, {"Retry-After": "-5"},
                        {"Retry-After": {"date_in": -30}}, {"Retry-After": far, "Date": far}):
            self.assertFalse(self.holds(headers), headers)
        self.assertFalse(self.holds({"Retry-After": "30"}, status=503))

    def test_a_hold_ends(self):
        self.rule({"status": 429, "headers": {"Retry-After": "0.2"}})
        self.clari("GET", "/admin/limits")
        self.eventually(lambda: self.limits() and not self.log()[-1]["in_hold"])
        refused, *held, free = self.log()
        self.assertTrue(all(entry["in_hold"] for entry in held))
        self.assertLess(held[-1]["t"] - refused["t_end"], 0.2)
        self.assertGreater(free["t"] - refused["t"], 0.2)

    def counts(self, *numbers):
        return dict(zip(("requests", "accepted", "rate_limited", "in_hold", "max_running"), numbers))

    def test_stats(self):
        self.configure(job={"duration_ms": 60_000})
        self.submit()
        self.submit(key="colleague-key")
        self.control("POST", "start_job", {})
        self.rule({"status": 429, "headers": {"Retry-After": 9}})
        self.clari("GET", "/admin/limits")
        self.limits()
        self.clari("GET", "/admin/limits", key="no-such-key")
        self.assertEqual(self.control("GET", "stats"), {
            "connections": 1,
            "keys": {KEY: self.counts(3, 1, 1, 1, 1), "colleague-key": self.counts(1, 1, 0, 0, 2),
                     "(unknown)": self.counts(1, 0, 0, 0, 0)},
            "organizations": {"acme": self.counts(4, 2, 1, 1, 3)}})

    def test_stats_of_an_organization_that_only_asks(self):
        self.clari("GET", "/export/jobs/abc", key="second-key")
        self.assertEqual(self.control("GET", "stats")["organizations"]["globex"]["requests"], 1)

    def test_connections_are_counted_when_they_carry_a_request(self):
        with self.raw(b"GET /_sim/stats HTTP/1.1\r\n\r\n"), self.raw() as other:
            other.recv(1)
        self.assertEqual(self.control("GET", "stats")["connections"], 1)

    def test_reset_forgets(self):
        self.submit()
        self.plan({"outcome": "FAILED"})
        self.control("POST", "reset", {})
        self.assertEqual(self.log(), [])
        self.assertEqual(self.control("GET", "stats"), {"connections": 0, "keys": {}, "organizations": {}})
        self.assertEqual(self.clari("GET", "/export/jobs").json(), [])
        self.assertEqual(self.job(self.submit())["status"], "DONE")


class ControlTest(SimulatorTest):
    def test_settings_are_merged(self):
        self.configure(organizations={"acme": {"monthly_quota": 7}, "new": {"concurrent_limit": 9}},
                       keys={"new-key": {"organization": "new", "user": "n"}})
        self.assertEqual((self.limits()["monthlyQuota"], self.limits()["concurrentLimit"]), (7, 3))
        self.assertEqual(self.limits(key="new-key")["concurrentLimit"], 9)
        self.configure(current_period="2025_Q1")
        self.assertEqual(self.limits()["monthlyQuota"], 7)
        self.control("POST", "reset", {"current_week": 2})
        self.assertEqual(self.limits()["monthlyQuota"], 1000)

    def test_a_key_can_be_revoked(self):
        self.configure(keys={KEY: None})
        self.assertEqual(self.clari("GET", "/admin/limits").status, 401)

    def test_mistakes_are_refused_and_change_nothing(self):
        for settings in ({"nonsense": 1}, {"organizations": {"acme": {"limit": 1}}}, {"organizations": {"acme": None}},
                         {"organizations": {"acme": {"monthly_quota": "many"}}}, {"keys": {"k": {"user": "u"}}},
                         {"keys": {"k": {"organization": "acme"}}}, {"error_form": "odd"}, {"forecasts": "net_arr"},
                         {"rate_limit": {"retry_after": "2"}}, {"clock_offset_seconds": True},
                         {"current_period": "now"}, {"keys": {"k": {"organization": [], "user": "u"}}},
                         {"rate_limit": {"requests_per_second": 1, "retry_after": "soon"}},
                         {"rate_limit": {"requests_per_second": 1, "burst": "big"}},
                         {"job": {"result_size": 1}}, []):
            self.assertIn("error", self.control("POST", "configure", settings, status=400), settings)
        for plan in ({"outcome": "STARTED"}, {"form": 3}, {"duration_ms": "1"}, {"statuses": []},
                     {"statuses": [[5, "A"], [1, "B"]]}, {"statuses": [["A", 1]]}, {"status": "DONE"},
                     {"period": 2026}):
            self.assertIn("error", self.control("POST", "jobs", [plan], status=400), plan)
        self.assertEqual(self.job(self.submit())["status"], "DONE")

    def test_requests_that_make_no_sense(self):
        self.control("POST", "reset", "{", status=400)
        self.control("POST", "start_job", {"key": "nobody"}, status=400)
        self.control("GET", "job/none", status=400)
        self.control("GET", "log?since=x", status=400)
        self.assertEqual(self.send("POST", "/_sim/nothing", key=None).status, 404)

    def test_finish_job(self):
        self.plan({"statuses": [[0, "STARTED"]]}, {"statuses": [[0, "STARTED"]]})
        done, failed = self.submit(), self.submit()
        self.control("POST", f"finish_job/{done}", {})
        self.control("POST", f"finish_job/{failed}", {"status": "FAILED"})
        self.assertEqual([self.job(done)["status"], self.job(failed)["status"]], ["DONE", "FAILED"])
        self.assertIn("endTime", self.job(done))
        self.assertEqual(self.result(done).status, 200)
        self.assertEqual(self.limits()["availableConcurrentLimit"], 3)
        self.control("POST", f"finish_job/{done}", {"status": "STARTED"}, status=400)

    def test_show_job(self):
        job_id = self.submit(body={"timePeriod": "2026_Q1"})
        shown = self.control("GET", f"job/{job_id}")
        self.assertEqual(shown.pop("job"), self.job(job_id))
        self.assertEqual(shown, {"key": KEY, "organization": "acme", "forecast_id": "net_arr", "period": "2026_Q1",
                                 "parameters": {"timePeriod": "2026_Q1"}})

    def test_control_is_neither_limited_nor_logged(self):
        self.configure(rate_limit={"requests_per_second": 0})
        for _ in range(3):
            self.control("GET", "stats")
        self.assertEqual(self.log(), [])


if __name__ == "__main__":
    unittest.main()
