"""The types, constants and pure functions of the operations' results, for the user interfaces.

The page, the HTTP API and the tools for agents import from `operations` and from the leaves (values, errors, units,
times, net, fs, system), and from no package between them.
"""

from flowhub_jobs.catalogs.search_filters import Filters as Filters
from flowhub_jobs.device.device_values import Device as Device
from flowhub_jobs.device.fit import Verdict as Verdict
from flowhub_jobs.device.gpu import Gpu as Gpu
from flowhub_jobs.device.need import CONTAINER_RESERVE as CONTAINER_RESERVE
from flowhub_jobs.device.need import DEFAULT_CONTEXT as DEFAULT_CONTEXT
from flowhub_jobs.device.need import GPU_RESERVE as GPU_RESERVE
from flowhub_jobs.device.need import SYSTEM_RESERVE as SYSTEM_RESERVE
from flowhub_jobs.jobs.attempts_and_events import Attempt as Attempt
from flowhub_jobs.jobs.node_rows import NodeStatus as NodeStatus
from flowhub_jobs.jobs.rate_limits import Limits as Limits
from flowhub_jobs.jobs.remedies import NO_WORKER as NO_WORKER
from flowhub_jobs.jobs.remedies import hub_page_of as hub_page_of
from flowhub_jobs.jobs.report_values import CompletedJob as CompletedJob
from flowhub_jobs.jobs.report_values import Report as Report
from flowhub_jobs.jobs.report_values import need_of as need_of
from flowhub_jobs.jobs.schedule import UNLIMITED as UNLIMITED
from flowhub_jobs.jobs.schedule import DayWindows as DayWindows
from flowhub_jobs.jobs.schedule import Schedule as Schedule
from flowhub_jobs.jobs.status_order import Overview as Overview
from flowhub_jobs.jobs.subscriptions.subscription_values import Subscription as Subscription
from flowhub_jobs.jobs.week_grid import Cell as Cell
from flowhub_jobs.jobs.week_grid import Week as Week
from flowhub_jobs.jobs.week_grid import hour_of as hour_of
from flowhub_jobs.jobs.week_grid import minutes_of as minutes_of
from flowhub_jobs.jobs.worker_rows import WorkerStatus as WorkerStatus
from flowhub_jobs.placement.apps import APPS as APPS
from flowhub_jobs.service.service_base import ServiceState as ServiceState
