"""The result of a form: a code and job numbers in the address, a sentence on the page."""

from flowhub_jobs.errors import NotFound
from flowhub_jobs.operations.queue_view import titles_or_none
from flowhub_jobs.values.enums import State
from flowhub_jobs.values.jobs import Job
from flowhub_jobs.web.call import Call
from flowhub_jobs.web.pages.naming import name_of_job

JOBS_NAMED = 5
_OF_JOBS = {
    "queued": "{} is queued.",
    "pause": "{} is paused.",
    "resume": "{} is queued again.",
    "cancel": "{} is cancelled; what was downloaded is kept for a retry.",
    "retry": "{} is queued again and continues with what was kept.",
    "start": "{} starts now.",
    "top": "{} is next.",
    "move": "{} was moved in the queue.",
    "verify": "{} will be verified.",
    "repair": "{} will be repaired: only what differs is downloaded.",
}
_SENTENCES = {
    "pause-all": "All jobs are paused.",
    "resume-all": "All paused jobs are queued again.",
    "retry-all": "All failed jobs are queued again.",
    "verify-all": "All models will be verified.",
    "removed": "The model is removed.",
    "forgotten": "The entry is forgotten.",
    "schedule": "The schedule is saved.",
    "limit": "The limit is saved.",
    "cap": "The cap is saved.",
    "looked": "The hardware information was refreshed.",
}
_REQUESTED = {"pause": "{} is pausing.", "cancel": "{} is being cancelled."}


def notice_of(call: Call) -> str | None:
    """Return the sentence for the address of a request; None where it names no action."""
    code = call.request.query_params.get("done", "")
    if code in _SENTENCES:
        return _SENTENCES[code]
    numbers = [int(text) for text in call.queries("job") if text.isascii() and text.isdigit() and len(text) < 18]
    if code not in _OF_JOBS or not numbers:
        return None
    try:
        jobs = call.session.home.queries.jobs(numbers[:JOBS_NAMED])
    except NotFound:
        return None
    titles = titles_or_none(call.session)
    return " ".join(sentence(code, job, name_of_job(job, titles).name) for job in jobs)


def sentence(code: str, job: Job, name: str) -> str:
    """Return what became of a job. One that still runs has the request, and obeys within a second."""
    if code == "queued" and job.state is State.COMPLETED:
        return f"{name} is installed already."
    if code in _REQUESTED and job.state is State.RUNNING:
        return _REQUESTED[code].format(name)
    return _OF_JOBS[code].format(name)
