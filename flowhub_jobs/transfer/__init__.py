"""Fetches the files of one artifact into a partial: resumed, verified, or a clear error. No queue, no database.

Read `fetch` first: it is the story of one transfer. What it tells of:

goes on with what is there   reopen ─► partial (the folder and its files), journal (what of them is on the disk)
decides                      asking, plan (what to ask next) · tuning (how many connections)
                             faults, retry (what a fault comes to) · binding (is it the same content?)
                             asked, headers, content, verdict (is it right?)
asks                         pool (the fetchers) ─► connection ─► wire, stream (sockets), reply (an answer)
                             hosts, limit, pace, offline (what is known of a host, of our limit, of this machine)
takes in                     receiving ─► writer; hash_queue ─► hasher
says that it is kept         committer ─► journal
all of them meet at          transfer, files (a file, a range) · terms (how it behaves, and the word that stops it)

Pure: plan, tuning, retry, headers, content, verdict. `reseed` makes a partial of what is installed, for a repair.
"""
