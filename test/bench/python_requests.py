"""What a request costs in a script.

python_requests.py URL COUNT session|single: asks for a URL so many times, in one session with its connection or
each time anew as requests.get() does, and prints the microseconds of one request.
"""

import sys
import time

import requests


def main(url, count, way):
    get = requests.Session().get if way == "session" else requests.get
    headers = {"apikey": "demo-key"}
    get(url, headers=headers).raise_for_status()
    start = time.monotonic()
    for _ in range(count):
        get(url, headers=headers).json()
    print(round((time.monotonic() - start) / count * 1e6, 1))


main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
