"""The texts of every error code, in `TEXTS`: the meaning, the remedy for a user of the command line, and, where it is
another one, that for a program that called `download()`.
"""

CALL_AGAIN = "Call download() again; it continues where it stopped."
_BY_ITSELF = "A worker tries again by itself and continues where it stopped."

TEXTS: dict[str, tuple[str, str] | tuple[str, str, str]] = {
    "failed": ("An error without a code of its own.", "The message names the cause."),
    "catalog_malformed": (
        "An entry of the catalog file breaks the catalog's format.",
        "Run `flowhub catalog validate FILE`, which names every fault, or set FLOWHUB_CATALOG to another catalog.",
        "Correct the entry, or set FLOWHUB_CATALOG to another catalog.",
    ),
    "catalog_unreadable": ("The catalog file is missing or cannot be read.", "Check FLOWHUB_CATALOG, or unset it."),
    "database_newer": (
        "A newer flowhub has migrated the database.",
        "Install that version of flowhub on this machine, then start its worker again.",
    ),
    "database_unusable": (
        "The database of jobs does not answer.",
        "Check that its disk is not full and that no other program locks it, then repeat the command.",
    ),
    "database_replaced": (
        "The database file was replaced, or its log was removed, while this process had it open.",
        "Run the command again. To restore a backup, stop the worker first.",
        "Call again.",
    ),
    "job_unreadable": (
        "A job's row was damaged, or written by a newer version.",
        "Queue the model again with {enqueue}; what was kept is used. If a newer flowhub queued it, run that version's "
        "worker.",
        CALL_AGAIN,
    ),
    "home_unusable": (
        "The home folder of flowhub cannot be created or written.",
        "Set FLOWHUB_HOME to a folder on a local disk that you may write to.",
    ),
    "store_unusable": (
        "The folder of models cannot be created or written.",
        "Set FLOWHUB_STORE to a folder that you may write to.",
    ),
    "setting_invalid": (
        "A setting has a value that flowhub cannot use.",
        "Correct the variable or the line of config.toml that the message names; `flowhub help settings` lists all.",
        "Correct the variable or the line of config.toml that the message names.",
    ),
    "manifest_unusable": (
        "A folder to import from has no readable manifest.",
        "Run `flowhub export MODEL --to FOLDER` again on the machine that has the models.",
    ),
    "cancelled": ("The job was cancelled.", "`flowhub retry JOB` queues it again."),
    "not_done_yet": (
        "A job that should run at once still waits.",
        "`flowhub status JOB` shows for what; a worker continues it.",
    ),
    "wrong_state": (
        "The job's state does not allow the command.",
        "`flowhub status JOB` shows the state; `flowhub help states` shows what each state allows.",
    ),
    "name_taken": (
        "A file of that name is in the store, and flowhub did not create it.",
        "Move or remove the file, then `flowhub retry JOB`.",
        "Move or remove the file, then call download() again.",
    ),
    "placement_refused": (
        "A model cannot be placed in the folder of another program.",
        "The message says why; the model stays installed.",
    ),
    "app_folder_unusable": (
        "The folder of another program is away, or may not be written.",
        "Mount its disk, or give your user the right to write there. A worker retries the placements of jobs.",
    ),
    "worker_lost": (
        "The worker died ten times in a row without any progress on this job.",
        "Look at the worker's log and the machine's memory, then `flowhub retry JOB`.",
    ),
    "store_offline": (
        "The store's disk is not mounted, or is mounted read-only.",
        "Mount the disk; the job continues by itself.",
        f"Mount the disk. {CALL_AGAIN}",
    ),
    "partial_removed": (
        "Another program removed an unfinished download from the store while it was written. It starts over by itself.",
        "Leave the folder .partial of the store to flowhub: `flowhub prune` removes what nothing needs.",
        f"Leave the folder .partial of the store to flowhub. {CALL_AGAIN}",
    ),
    "storage_failed": (
        "The disk of the store reported an input/output error.",
        "Check the disk and the system's log, then `flowhub retry JOB`.",
        f"Check the disk and the system's log. {CALL_AGAIN}",
    ),
    "too_many_files": (
        "This process may open no more files. A running job is tried again after ten seconds.",
        "Raise the limit (`ulimit -n 1024`; LimitNOFILE= of a service), or run fewer jobs (`flowhub worker --jobs 1`).",
        f"Raise the limit of open files (`ulimit -n`). {CALL_AGAIN}",
    ),
    "too_many_threads": (
        "The system starts no more threads for this process. A running job is tried again after ten seconds.",
        "Raise the limit of processes (`ulimit -u`; TasksMax= of a service; pids.max of a container) or of memory.",
        f"Raise the limit of processes (`ulimit -u`). {CALL_AGAIN}",
    ),
    "out_of_memory": (
        "This machine has no memory left for the job. A worker tries it again after a minute.",
        "Close other programs, or run fewer jobs at once (`flowhub worker --jobs 1`).",
        f"Close other programs. {CALL_AGAIN}",
    ),
    "service_unavailable": (
        "No service manager serves this session: a container, `su`, or ssh to macOS.",
        "Run `flowhub worker` in the foreground, or `flowhub worker --drain` from cron.",
    ),
    "service_failed": (
        "The service manager (systemd, launchd) refused a command.",
        "`flowhub worker status` shows the state of the service and where its log is.",
    ),
    "internal": (
        "A bug in flowhub.",
        "Report it with the worker's log; FLOWHUB_DEBUG=1 shows the traceback.",
        "Report it with the traceback.",
    ),
    "extra_missing": (
        "A part of flowhub is used whose packages are not installed.",
        "Install the extra that the message names, such as `pip install 'flowhub[web]'`.",
    ),
    "port_unusable": (
        "`flowhub web` cannot listen at the address or port.",
        "Give another one with --host and --port, or leave --port out to take the next free port.",
    ),
    "misdirected": (
        "The Host of an HTTP request is no name or address of this `flowhub web` (HTTP 421).",
        "Use the URL that `flowhub web` prints; --allow-host adds a name, such as that of a proxy.",
    ),
    "method_not_allowed": (
        "The path of the HTTP API does not take this method (HTTP 405).",
        "GET /api/openapi.json lists every path with its methods.",
    ),
    "body_too_large": ("The body of an HTTP request is too large (HTTP 413).", "Send it in parts."),
    "sign_in_required": (
        "A request to `flowhub web` carries neither the cookie of a browser nor a token (HTTP 401).",
        "Open the URL that `flowhub web` prints, or send the token of web.token as `Authorization: Bearer`.",
    ),
    "forbidden": (
        "A page of another site made the request, or a change lacks the page's token (HTTP 403).",
        "Open the page at the URL that `flowhub web` prints, and make changes there.",
    ),
    "usage": ("The command was not understood.", "`flowhub VERB --help` shows the options and arguments."),
    "address_refused": (
        "The URL uses plain http to another machine, or a scheme that flowhub does not support.",
        "Use https, or add --sha256 HEX for plain http.",
        "Use https, or give the option a sha256 for plain http.",
    ),
    "not_found": (
        "No model, option, job or installed file has that name.",
        "The hint lists the nearest names; `flowhub search`, `flowhub list` and `flowhub status --all` list all.",
        "The hint lists the nearest names.",
    ),
    "token_missing": (
        "The source requires a sign-in, and no token is set.",
        "Set HF_TOKEN to a token that may read the model, restart the worker, then `flowhub retry JOB`.",
        "Set HF_TOKEN to a token that may read the model, then call download() again.",
    ),
    "token_refused": (
        "The source refused the token.",
        "Create a new token at the Hub, set HF_TOKEN, restart the worker, then `flowhub retry JOB`.",
        "Create a new token at the Hub, set HF_TOKEN, then call download() again.",
    ),
    "gated": (
        "The model is gated: its publisher requires you to accept terms first.",
        "Accept the terms on the model's page, set HF_TOKEN and restart the worker, then `flowhub retry JOB`.",
        "Accept the terms on the model's page, set HF_TOKEN, then call download() again.",
    ),
    "source": (
        "The source could not be read.",
        "A worker tries again by itself; `flowhub status JOB` shows when.",
        CALL_AGAIN,
    ),
    "catalog_unreachable": (
        "The catalog's URL cannot be reached, and no copy was kept.",
        "Check the network and FLOWHUB_CATALOG; unset it to use the catalog that flowhub ships.",
    ),
    "catalog_source_malformed": (
        "The catalog from a URL breaks the catalog's format.",
        "Tell the catalog's publisher, or set FLOWHUB_CATALOG to another catalog.",
    ),
    "network": (
        "The host cannot be reached: no name, refused, unreachable.",
        "A worker tries again by itself for up to a day; `flowhub status JOB` shows when.",
        f"Check the network. {CALL_AGAIN}",
    ),
    "connection_lost": (
        "The connection ended before the answer did.",
        _BY_ITSELF,
        CALL_AGAIN,
    ),
    "headers_timeout": (
        "The host accepted the request and did not answer in time.",
        "A worker tries again by itself.",
        CALL_AGAIN,
    ),
    "stalled": ("No byte arrived for 20 seconds.", "A worker tries again by itself.", CALL_AGAIN),
    "too_slow": ("Less than 1 KiB/s arrived for 30 seconds.", "A worker tries again by itself.", CALL_AGAIN),
    "server_busy": (
        "The host is busy or limits requests (408, 425, 429, 5xx, or a 4xx of a CDN).",
        "A worker waits as long as the host asked, then tries again.",
        CALL_AGAIN,
    ),
    "wrong_range": (
        "The host answered with other bytes than were requested.",
        "A worker asks again in another way; after ten tries the job fails.",
        CALL_AGAIN,
    ),
    "answer_malformed": (
        "The host sent an answer that is not valid HTTP.",
        "A worker asks again; after ten tries the job fails.",
        f"Check the address and its port; {CALL_AGAIN[0].lower() + CALL_AGAIN[1:]}",
    ),
    "address_expired": (
        "The signed URL of the CDN is no longer valid.",
        "A worker asks the Hub for a new one by itself.",
        CALL_AGAIN,
    ),
    "source_changed": (
        "The file at the source was replaced during the download.",
        "A worker starts over with the new file by itself.",
        CALL_AGAIN,
    ),
    "source_missing": (
        "The source has no such file (404, 410).",
        "`flowhub show MODEL` lists other variants; or look for the file's new address.",
        "Take another option of the model, or look for the file's new address.",
    ),
    "source_refused": (
        "The source refuses the request, and asking again will not help.",
        "Open the URL in a browser to see what the host wants.",
    ),
    "redirect_refused": (
        "A redirect leads to an unsafe URL, or never ends.",
        "Tell the URL's publisher, or use another source.",
    ),
    "too_large": (
        "An answer was far larger than such an answer can be, and was cut off.",
        "Open the URL in a browser to check that it is what you meant.",
    ),
    "tls_untrusted": (
        "The host's certificate is not trusted: a captive portal, a company's proxy, or a wrong clock.",
        "Sign in to the network in a browser, or set SSL_CERT_FILE to your company's CA certificate (PEM).",
    ),
    "trust_unreadable": (
        "The certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read, so no https host can be trusted.",
        "Set the variable to a file of certificates (PEM), or unset it, then restart the worker.",
        "Set the variable to a file of certificates (PEM), or unset it, then start the program again.",
    ),
    "proxy_unreachable": (
        "The proxy that an environment variable names does not answer, or does not reach the host.",
        "Check that the proxy runs; to use another, correct the variable and restart the worker.",
        f"Check that the proxy runs, or correct the variable. {CALL_AGAIN}",
    ),
    "proxy_unusable": (
        "A proxy variable has a value that flowhub cannot use: its scheme, its form, or SOCKS without the extra.",
        "Correct the variable or unset it, restart the worker, then `flowhub retry JOB`.",
        f"Correct the variable or unset it. {CALL_AGAIN}",
    ),
    "proxy_sign_in": (
        "The proxy requires a user and a password, refuses those of the variable, or takes other sign-ins than Basic.",
        "Write them into the variable as http://USER:PASSWORD@HOST:PORT, restart the worker, then `flowhub retry JOB`.",
        f"Write them into the variable as http://USER:PASSWORD@HOST:PORT. {CALL_AGAIN}",
    ),
    "wait_too_long": (
        "The host asked for a wait of more than an hour.",
        "`flowhub retry JOB` after that time.",
        "Call download() again after that time.",
    ),
    "wrong_content": (
        "The first bytes are not a model: a sign-in page or an error page.",
        "Open the URL in a browser; it may want a sign-in.",
    ),
    "cut_short": (
        "A model file that no digest pins ends before its own header says; it is not installed.",
        "`flowhub show MODEL` lists other variants; or tell the file's publisher.",
        "Take another option of the model, or tell the file's publisher.",
    ),
    "disk_full": (
        "The store's disk has not enough free space.",
        "Free some space (`flowhub du`, `flowhub prune`, `flowhub rm`); the job continues by itself.",
        f"Free some space. {CALL_AGAIN}",
    ),
    "target_full": (
        "The disk of an export is full.",
        "Free some space on that disk, or export to another one.",
    ),
    "does_not_fit": (
        "The model does not run on this machine (with --require-fit).",
        "`flowhub fits MODEL` shows the arithmetic; `flowhub show MODEL` lists smaller variants.",
    ),
    "digest_mismatch": (
        "The file's sha256 differs from the expected one. Nothing was installed.",
        "If it came from a catalog, its digest may be out of date: `flowhub catalog update`, then enqueue again. "
        "An installed model is repaired by `flowhub verify --repair MODEL`.",
        "Nothing was installed. The expected digest may be out of date, or the source serves another file.",
    ),
    "size_mismatch": (
        "The file's size at the source is not the size that the catalog or the Hub states. Nothing was installed.",
        "For a model of the catalog, `flowhub catalog update`; else look at the source. Then enqueue again.",
        "For a model of the catalog, update the catalog; else look at the source. Then call download() again.",
    ),
    "busy": (
        "A job works on the same files, or another process downloads them.",
        "Wait for it (`flowhub wait JOB`), or cancel it first.",
        "Wait until the other process has ended, then call again.",
    ),
    "node_taken": (
        "A worker of another machine or home runs under the same node name, or took the name over.",
        "Give one of the two another name: set FLOWHUB_NODE, or remove the file `node` of the copied home.",
    ),
    "some_failed": (
        "Some of several failed; the others were done.",
        "`flowhub status --state failed` lists failed jobs with their reasons.",
    ),
    "timeout": ("The time of --timeout is over; the jobs continue.", "`flowhub wait` again, or see `flowhub status`."),
    "interrupted": ("Ctrl-C ended the command; queued jobs continue.", "`flowhub status` shows them."),
    "terminated": ("SIGTERM ended the command; queued jobs continue.", "`flowhub status` shows them."),
}
