"""Modules that the tests share, built on scripts/lib/origin.

servers           origin, hub, web, webhook_server, proxies, postgres, silent_address
faults            fault_base (what a fault is) ◄── answer_, connection_, edge_, range_faults ◄── faults
                  fault_files, fault_ways (three ways to one artifact), replaced_source
flowhub itself    app (a home and its workers), cli, fork_server (workers that start at once), failpoints,
                  run_fetch and stepped_transfer (a transfer without a worker), job_store (jobs without a worker),
                  install_cases, install_steps, owner_writes
machines          disks, forgetful_disk, power_loss_disk, disk_files, fake_clock, time_zones, fake_service_tools,
                  simulated_network, python_process, browser
data              models, gguf_files, other_apps, app_readers, placements, hub_tools, localai_index, systemd_syntax
pytest            ci_skips, http_client, problems
"""
