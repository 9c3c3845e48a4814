"""Contestants of a benchmark: each in a process of its own, so that thread pools never meet, and each in its turn.

Jobs and replies are lines of JSON. A worker module calls `serve` with the function that answers a job.
"""

import contextlib
import importlib.util
import json
import subprocess
import sys

from atrous.bench import machine
from atrous.errors import AtrousError

INSTALL = {
    "torch": ("PyTorch", "Install its CPU build first."),
    "pydensecrf": ("pydensecrf", "Try: pip install pydensecrf2 (it needs a C++ compiler)."),
}


def serve(answer):
    """Answer jobs from standard input until it closes; `answer(program, job)` returns plain values."""
    for line in sys.stdin:
        try:
            job = json.loads(line)
            reply = machine.limits() if "limits" in job else answer(sys.argv[1], job)
        except Exception as error:  # the parent reports it
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


class Contestant:
    """A worker process that runs one program."""

    def __init__(self, program, threads, module):
        self.program = program
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, program],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=machine.limited_environment(threads), text=True,
        )  # fmt: skip

    def ask(self, job):
        """Send one job and wait for its reply."""
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise AtrousError(f"bench: the process timing {self.program} ended with code {self.process.wait()}.")
        reply = json.loads(line)
        if "error" in reply:
            raise AtrousError(f"bench: {reply['error']}")
        return reply

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@contextlib.contextmanager
def started(programs, module):
    """Start {label: (program, threads)}; give {label: Contestant}, ended when the block is left."""
    with contextlib.ExitStack() as stack:
        found = {}
        for label, (program, threads) in programs.items():
            found[label] = Contestant(program, threads, module)
            stack.callback(found[label].close)
        yield found


def take_turns(contestants, job, rounds, tell=None):
    """Give the job to all contestants in turn, some rounds long; return {label: replies}."""
    replies = {label: [] for label in contestants}
    for done in range(rounds):
        for label, contestant in contestants.items():
            if tell:
                tell(done, label)
            replies[label].append(contestant.ask(job))
    return replies


def best(replies):
    """Return the shortest time among replies."""
    return min(reply["seconds"] for reply in replies)


def memory(program, threads, module, job):
    """Return the reply of a fresh process to the job, asked for memory instead of time."""
    with started({program: (program, threads)}, module) as found:
        return found[program].ask({**job, "memory": True})


def require(owner, package):
    """Raise AtrousError unless a peer's package is installed."""
    if importlib.util.find_spec(package) is None:
        name, fix = INSTALL[package]
        raise AtrousError(f"{owner}: --peers needs {name}, which is not installed. {fix}")
