"""The tools of `flowhub mcp`: operations for agents, over the Model Context Protocol on stdio.

tool             one tool: its arguments, its action, its hints for clients
model_tools      search_models, check_fit, list_installed, model_path
job_tools        enqueue, list_jobs, job_status, pause, resume, cancel, retry, morning_report
tool_table       all tools, in the order of `tools/list`
result_schemas   JSON Schemas of the structured results
calls            one call: opens the home, checks the arguments, returns the result or the error
server           the protocol; the only module that needs the package `mcp`
"""
