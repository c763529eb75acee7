"""The worker process: Huey's consumer, the pipeline of one attempt, and the threads around it.

process             runs one worker: its context, its threads, and Huey's consumer in the main thread
restart_on_new_database  runs a worker again when its database was replaced
inline              runs named jobs in the process of a command, as a worker would
context             the state that the threads of one worker share, and its current runs
huey_consumer       Huey's consumer with flowhub's handling of signals
wakeup_queue_choice  chooses the queue of wake-ups: wakeup_queue (SQLite) or wakeup_queue_postgresql

pipeline            one attempt from the claim to the completed job; start reading here
release_or_fail     ends an attempt that did not complete: released, deferred or failed
local_reuse         finds the artifact's bytes in the store and in other programs before a download
verify_job, export_job, import_job      the pipelines of the other kinds of job; copier copies their files
progress            writes the progress of a run into its row
transfer_options    makes the options of a transfer from the settings

heartbeat           renews the leases, and stops the runs whose jobs the user paused or cancelled
maintenance         the work of every second: rescues, waits, retention, wake-ups
gate_cache          the gates that hold all jobs, at most a second old
rate_share          this worker's share of the speed limit
cap_watch           the bytes that this worker received, and what the cap leaves
disk_waits          ends or extends the waits for disk space
network             detects that the machine is offline, and that it is back
host_outages        holds the jobs of a host that does not answer
database_identity, database_outage_log  notice a replaced, damaged or unreachable database
notifications, notify_delivery          notify the user by a command or a webhook
log_format, wait_log  format the log; log each cause of a wait once
"""
