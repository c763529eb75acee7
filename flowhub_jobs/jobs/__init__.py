"""Jobs as rows: their states, the commands of users, the leases of workers, and the queries of screens.

states              the states of a job, who moves it, and the holds of a queued one; pure
commands            the user's writes: enqueue, cancel, pause, resume, start, retry, priority
enqueue_rows        the rows that an enqueued artifact becomes
lease_store         a worker's claims, the renewal of its leases, its row · run_values: their values
attempt_writes      a worker's writes of an attempt: progress, events, its end
claims              the jobs that may start now, and the UPDATE that takes the best of them
queue_order_sql     the order in which jobs of one priority start
progress            the UPDATEs of a run's progress
rescue              takes back the jobs of dead workers
fail_unreadable_jobs  fails the jobs whose rows cannot be decoded
event_retention     deletes old events
shared_update_sql   SQL of the modules that write jobs

queries             reads jobs as values, for every screen and program · attempts_and_events: their attempts and events
queue_of_several_nodes  reads the jobs of several nodes as one queue
job_from_row        makes a job of its row · row_decoding: decodes and checks rows
shared_select_sql   SQL of the modules that read jobs
status_order        orders jobs for a screen
current_holds       finds all that keeps a queued job from starting
eta                 the time that a running job has left
unreplaced_failures  finds the failed jobs that still need the user
find_partial_owner  finds the job that a partial belongs to

controls            the user's settings of a node: limit, schedule, cap
values_shared_by_workers   values of a node's workers, so that one of them acts
schedule            the weekly windows and their rates · week_grid: a schedule as the minutes of a week
daylight_saving     times of the local clock, across changes to and from summer time
rate_limits         the speed limit in force
cap                 the bytes that a node may receive in a day or month · wire_bytes: what it received by day
wire_minutes        the bytes that a node received by minute
host_waits          waits for hosts that do not answer · held_hosts: reads them
disk_wait_rows      jobs that wait for disk space · disk_demand: the space that jobs still need
shift_waits         keeps the length of waits when the system clock is set
refused_mirrors     mirrors that sent wrong bytes
pending_upkeep_query  finds by one query which upkeep is due

node_registry       registers a machine as a node · node_removal: removes a node
node_rows           reads the nodes · worker_rows: reads the workers
any_node            jobs for any node
node_shares         where nodes share their stores, and the copies of a file there
nodes_per_file_limit  how many nodes download a file at one time

subscriptions/      references that are kept up to date
report_values       the values of the report · report_recoveries: counts the faults that needed no help
remedies            the remedy for a failed or waiting job
notices_due         the events that the user is to be notified of
"""
