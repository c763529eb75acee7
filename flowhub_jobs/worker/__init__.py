"""The worker process: Huey's consumer, the pipeline of one attempt, and the threads around it.

process             runs one worker: its context, its threads, and Huey's consumer in the main thread
restart_on_new_database  runs a worker again when its database was replaced
inline              runs named jobs in the process of a command, as a worker would
context             the state that the threads of one worker share, and its current runs
huey_consumer       Huey's consumer with flowhub's handling of signals
wakeup_queue_choice  chooses the queue of wake-ups: wakeup_queue or wakeup_queue_postgresql
wakeup_queue, wakeup_queue_postgresql   the queue in SQLite's `queue.db`, and in PostgreSQL

pipeline            one attempt from the claim to the completed job; start reading here
release_or_fail     ends an attempt that did not complete: released, deferred or failed
progress            writes the progress of a run into its row
fetch_step          fetches an artifact: links local bytes, downloads the rest
local_reuse         finds an artifact's bytes in the store and in other programs before a download
transfer_options    makes the options of a transfer from the settings
modelscope_mirror   addresses at ModelScope of files at the Hub
peer_copies         copies of an artifact's files on other nodes
wait_for_node_copy  makes a run wait while other nodes download the same file
verify_job, export_job, import_job, move_job   the pipelines of the other kinds of job
copier              copies and hashes files · copy_into_partial: copies an artifact's files into a partial

heartbeat           renews the leases, and stops the runs whose jobs the user paused or cancelled
maintenance         the upkeep of every second: rescues, waits, retention, wake-ups
subscription_checks  checks the subscriptions that are due
placement_upkeep    tries failed placements again, and finishes those of killed processes
any_node_jobs       takes jobs for any node, and gives them back
disk_wait_check     ends or extends the waits for disk space
offline_watch       detects that the machine is offline, and that it is back
host_outages        records the hosts that do not answer
database_identity   detects that the database was replaced, restored or migrated
node_description    writes memory, GPUs and free disk space into the node's row
reread_stores       rereads `[stores]` of config.toml

gate_cache          the gates that hold all jobs, read every 1 to 10 s
rate_share          this worker's share of the speed limit
cap_watch           the bytes that this worker received, and the rest of the cap

notifications       notifies the user by a command or a webhook · notify_delivery: delivers one notice
log_format          formats the log · wait_log: logs each cause of a wait once
database_outage_log  logs an outage of the database
"""
