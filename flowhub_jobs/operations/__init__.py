"""The application layer: the operations that the command line, the page and the Python API call.

open_home        opens a home for a user interface; result_types the types of results
session          one opened home: queue, steer, list, remove
references       resolves a reference: the catalogs, the Hub, or a URL
enqueue          references to jobs; enqueue_option_parser parses the options
json_arguments   named JSON values that programs send, and their JSON Schema
actions          pause, resume, cancel, retry
job_list_filter  jobs by state, time, group or number; job_numbers parses ranges
queue_moves      moves a waiting job to another place
queue_view       the queue as the screens show it; total_line sums it up
wait_reasons     why a job does not move, and the remedies
needs_texts      problems that need the user
changes          changes since a known moment
forecast         free space and the time when an order is done
database_file    backs up SQLite's database, and checks it
library_jobs     verify, repair, export, import
download_without_queue  download of one option without a queue
limits           the speed limit; schedules the windows; caps the bytes of a day or month
report           the report of the night; recovery_texts its sentences
doctor/          the checks of `flowhub doctor`
speed_history    the speed of a night, by the minute
preflight/       asks sources before jobs are queued
library/         installed models: list, adopt, update, clean up
search/          searches, verdicts and details of a model
catalogs/        the catalogs in force, imports and updates
schemas/         all public JSON
"""
