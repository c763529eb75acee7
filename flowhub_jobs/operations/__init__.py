"""The application layer: the operations that the command line, the page and the Python API call.

open_home          opens a home for a user interface
convert_unexpected_errors   converts any exception into flowhub's errors
session            all operations of one opened home
result_types       types and constants of the results, for the user interfaces
act_on_each        results and errors of one action on several jobs or models
json_arguments     arguments that programs send as JSON, and their JSON Schema
changes            changes since a known moment: jobs, installed models, controls

reference_resolver  resolves a reference: catalog, Hub, or URL · repositories: the repositories of the Hub
enqueue            resolves references and queues them, all or none · enqueue_option_parser: its options
preflight/         checks the sources before jobs are queued
enqueue_plan       the requests for new jobs, and their plans · target_store: the store and the name of each artifact
requests_for_other_nodes  jobs for other nodes · node_selection: the nodes that `--on` names
forecast           free disk space and expected end of an order

actions            pauses, resumes, cancels, retries and starts jobs
queue_moves        moves a waiting job to another place in the queue
job_list_filter    chooses jobs by state, time, group or number · job_numbers: parses numbers and ranges
queue_view         the queue as the screens show it · total_line: its sum
job_detail         one job with its history and its files
wait_reasons       reasons why a job does not run, and the remedies
needs_texts        problems that need the user, each with its remedy
report             the report of a night · recovery_texts: sentences about recoveries

limits, schedules, caps   the speed limit, the schedule and the cap: read, set, described
speed_history      the speed of a node's downloads over some hours
workers_and_service  the workers of this node, and the service
metrics            figures of a node for monitoring
nodes              lists, finds and removes nodes · node_texts: a node's state and sizes as text
doctor/            the checks of `flowhub doctor`
database_backup_and_check  backs up and checks SQLite's database

library/           installed models: list, adopt, update, clean up
library_jobs       jobs on installed models: verify, repair, export, import, move
placement          places installed models in the folders of other programs
models_to_share    installed models that other machines may download · publish_share: tells other nodes where
subscriptions/     references that are kept up to date

catalogs/          the catalogs in force: import and update
search/            searches, verdicts and details of a model
download_without_queue   downloads one option without queue or database
schemas/           all public JSON
"""
