"""All tools, in the order of `tools/list`. None of them removes a model or its partial download."""

from flowhub_jobs.mcp import job_tools, model_tools
from flowhub_jobs.mcp.tool import AgentTool

TOOLS: tuple[AgentTool, ...] = (
    model_tools.SEARCH,
    model_tools.CHECK_FIT,
    job_tools.ENQUEUE,
    job_tools.LIST_JOBS,
    job_tools.JOB_STATUS,
    job_tools.PAUSE,
    job_tools.RESUME,
    job_tools.CANCEL,
    job_tools.RETRY,
    model_tools.LIST_INSTALLED,
    model_tools.MODEL_PATH,
    job_tools.MORNING_REPORT,
)
BY_NAME = {tool.name: tool for tool in TOOLS}
