"""Fetches the files of one artifact into a partial: resumed and verified, or one clear error. No queue, no database.

Read `fetch` first: it is the story of one transfer. Then `fetchers` (one range), `receiver` (one body), `committer`
(the order of writes).

    fetch              runs one transfer: open, fetch, verify, finish · options: options, and the token that stops it
    resume             continues a partial: the journal's records, checked against the disk
    state              the state that all threads share · file_state: that of a file, and of a range in flight
    open_file_limit    keeps no more part files open than the process may have

    fetchers           the pool of fetchers ─► range_scheduler (which range next), http (request it)
    response_acceptance  accepts or rejects a response ─► identity_check, response_checks, first_bytes_check
    empty_digest_check  reports a pinned digest that is that of an empty file
    receiver           reads a body and writes it ─► hash_queue ─► hasher
    committer          syncs written bytes, then records them in the journal

    mirror_switching   chooses the address of a file, and finds the one that sent wrong bytes ─► mirror_choice
    mirror_speed       measures the addresses: leaves a far slower one, uses several at once where that gains
    fault_handler      decides whether to try again, wait or give up after a fault ─► retry
    transient_refusals  the refusals that end without the user
    form_fallback      chooses another form of the Range header after a fault ─► range_forms
    concurrency        how many connections · connection_watch: replaces slow ones ─► slow_connection_rules
    host_limits        connections and cooldowns of each host · rate_limit: token buckets · wire_meter: bytes received
                       (all three shared by all jobs)

    http/              requests for ranges, connections, responses   knows nothing of `state`
    partial/           part files, journal, holds, copies            knows nothing of `state`

Pure: concurrency, retry, mirror_choice, range_forms, first_bytes_check, slow_connection_rules, http.response_headers,
partial.ownership_decision.

Threads and their conditions (all share the transfer's lock, `TransferState.changed`):

    the caller     `fetch`: reports progress, adjusts the number of connections  waits on commit_due, 50 ms at most
    the fetchers   request, check, read, write or hand to the writer; 1 to 16    wait on changed (a range, room to
                   for each address in use, and one for a measurement            write, the hash queue), pool_resized
    the writer     writes whole pages past the cache, in order                   a queue of two buffers
    the hasher     follows each file's frontier; verifies                        waits on hash_ready
    the committer  snapshot under the lock, sync and journal without it          waits on commit_due, 250 ms at most

No thread waits for a disk or a socket while it holds the lock. Other locks: the committer's (`commit` takes turns), the
host limits', the bucket's and the backend's own; none of them is held while the transfer's lock is taken, except the
committer's.
"""
