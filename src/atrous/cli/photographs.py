"""Photographs are processed one by one; one that fails does not stop the others."""

import sys

from atrous.cli.common import progress_line
from atrous.errors import AtrousError


def one_by_one(name, jobs, work, line, say, failures=()):
    """Run `work` on each job and return (results, failures) as plain values.

    `failures` are pairs (photograph, reason) that are known in advance. A single job gets `progress`, and its error is
    raised. A result with a warning is printed with it.
    """
    several = len(jobs) + len(failures) > 1
    width = max((len(job.image.name) for job in jobs), default=0)
    for image, reason in failures:
        print(f"atrous: {image}: {reason}", file=sys.stderr)
    found, failures = [], [{"image": str(image), "error": reason} for image, reason in failures]
    with progress_line(name) as progress:
        for done, job in enumerate(jobs):
            if several:
                progress(done, len(jobs), job.image.name)
            try:
                row = work(job, None if several else progress)
            except (AtrousError, OSError, MemoryError) as error:
                if not several:
                    raise
                progress.close()
                reason = str(error) or type(error).__name__
                print(f"atrous: {job.image}: {reason}", file=sys.stderr)
                failures.append({"image": str(job.image), "error": reason})
                continue
            progress.close()
            found.append(row)
            say(line(row, job.image.name.ljust(width)))
            if "warning" in row:
                print(f"atrous: {job.image}: warning: {row['warning']}", file=sys.stderr)
    if failures and several:
        total = len(jobs) + sum(f["image"] not in {str(job.image) for job in jobs} for f in failures)
        print(f"atrous: {len(failures)} of {total} photographs failed; the others are done.", file=sys.stderr)
    return found, failures
