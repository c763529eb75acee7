"""Jobs as rows: their states, the commands of users, the leases of workers, and the queries of screens.

states              the states of a job, who moves it, and the holds of a queued one; pure
commands            the user's writes: enqueue, cancel, pause, resume, start, retry, priority
enqueue_rows        the rows that an enqueued artifact becomes; pure
lease_store         the worker's writes: claim, renew, progress, the ends of an attempt; run_values are their values
claims              the jobs that may start now, and the UPDATE that takes the best of them
progress            the statements that write the progress of a run
rescue              takes back the jobs of dead workers
fail_unreadable_jobs  fails the jobs whose rows cannot be decoded
event_retention     deletes old events

queries             every read of jobs, as values; history_queries reads attempts and events
status_order        orders jobs for a screen; open_failures finds those that need the user
row_decoding        decodes and checks rows; shared_select_sql and shared_update_sql hold
                    the SQL that several modules use
worker_rows         the rows of workers

controls            the user's settings of a node: limit, schedule; values_shared_by_workers: values of its workers
schedule, week_grid the hours in which jobs may run, and their rates; a schedule as the minutes of a week
cap, wire_bytes     the bytes that a node may receive in a day or month, and what it has received
daylight_saving     days and times of the local clock, across changes to and from summer time
queue_order         the order in which jobs of one priority start
rate_limits         the speed limit in force
host_waits, held_hosts      hosts that do not answer, and the jobs that they hold
disk_waits, disk_demand     jobs that wait for disk space, and the space that other jobs still need
shift_waits         keeps the length of waits when the system clock is set
find_partial_owner  finds the job that a partial belongs to

subscriptions       references that are kept up to date

report_values       the values of the report; report_recoveries counts the faults that needed no help
remedies            the remedy for a failed or waiting job
notices_due         the events that the user is to be notified of
"""
