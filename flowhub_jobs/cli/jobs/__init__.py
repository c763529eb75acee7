"""Verbs of jobs and of followed references, and the screen of bare `flowhub`.

enqueue            queues models · enqueue_run: resolves the references, queues and prints · best_fit: --best-fit
list_file          the list file of `enqueue -f`
plan_view          the screen of `enqueue --dry-run`
follow             follow and unfollow · followed_list_file: a list file that is followed

cancel, pause, resume, retry, start, priority   one verb each, by the common code in steering
steering           chooses the jobs, runs the action, prints the outcome of each
wait               waits for jobs to end

status             the queue, or one job · status_view: the screen of the queue · job_view: the screen of one job
job_table          the table of jobs on several screens
live_view          the live view of `--watch`
logs               events of a job · logs_view: their screen
overview           the screen of bare `flowhub`
"""
